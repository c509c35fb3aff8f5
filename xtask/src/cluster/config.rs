//! What each program is told.

use std::path::Path;

use anyhow::Result;

use super::images::PAUSE;
use super::keys;
use super::place::{Place, make_folder, write};
use super::system::System;

pub const NODE: &str = "strata-node";
/// Addresses of our own on the loopback device: whatever network this machine has or loses, the cluster keeps its own.
pub const NODE_IP: &str = "10.97.0.1";
/// Where pods look for the API server. Since the host has this very address, no kube-proxy is needed for it.
pub const SERVICE_IP: &str = "10.96.0.1";
const SERVICES: &str = "10.96.0.0/24";
const PODS: &str = "10.98.0.0/16";
pub const BRIDGE: &str = "strata0";
pub const NETWORK: &str = "strata-cluster";

/// A program of the cluster: its name, its path, and its arguments.
pub struct Program {
    pub name: &'static str,
    pub arguments: Vec<String>,
}

pub fn write_all(place: &Place, system: &System, version: &str) -> Result<()> {
    let state = place.state();
    make_folder(state)?;
    make_folder(place.run())?;
    keys::make(&state.join("keys"))?;
    for (name, _, _) in keys::USERS {
        write(
            &state.join(format!("{name}.kubeconfig")),
            kubeconfig(&state.join("keys"), name)?,
        )?;
    }
    write(&state.join("containerd.toml"), containerd(place, system)?)?;
    let networks = state.join("networks");
    make_folder(&networks)?;
    write(&networks.join("10-bridge.conflist"), network(place))?;
    write(&state.join("kubelet.yaml"), kubelet(place, version))?;
    // Who comes later knows by it which programs run here.
    write(&state.join("version"), format!("{version}\n"))
}

/// In the order in which they start.
pub fn programs(place: &Place) -> Vec<Program> {
    let state = place.state();
    let key = |name: &str| state.join("keys").join(name).display().to_string();
    let kubeconfig = |name: &str| {
        let file = state.join(format!("{name}.kubeconfig"));
        format!("--kubeconfig={}", file.display())
    };
    let program = |name, arguments: Vec<String>| Program { name, arguments };
    vec![
        program(
            "etcd",
            vec![
                format!("--data-dir={}", state.join("etcd").display()),
                // What is lost with the machine's power is not worth waiting for the disk.
                "--unsafe-no-fsync".into(),
                "--listen-client-urls=http://127.0.0.1:2379".into(),
                "--advertise-client-urls=http://127.0.0.1:2379".into(),
                "--listen-peer-urls=http://127.0.0.1:2380".into(),
            ],
        ),
        program(
            "kube-apiserver",
            vec![
                "--etcd-servers=http://127.0.0.1:2379".into(),
                format!("--bind-address={SERVICE_IP}"),
                "--secure-port=443".into(),
                format!("--advertise-address={NODE_IP}"),
                format!("--service-cluster-ip-range={SERVICES}"),
                format!("--tls-cert-file={}", key("apiserver.crt")),
                format!("--tls-private-key-file={}", key("apiserver.key")),
                format!("--client-ca-file={}", key("ca.crt")),
                format!("--token-auth-file={}", key("tokens.csv")),
                "--authorization-mode=Node,RBAC".into(),
                "--enable-admission-plugins=NodeRestriction".into(),
                "--allow-privileged=true".into(),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                format!("--service-account-key-file={}", key("sa.pub")),
                format!("--service-account-signing-key-file={}", key("sa.key")),
                format!("--kubelet-client-certificate={}", key("client.crt")),
                format!("--kubelet-client-key={}", key("client.key")),
                format!("--kubelet-certificate-authority={}", key("ca.crt")),
                "--kubelet-preferred-address-types=InternalIP".into(),
            ],
        ),
        program(
            "kube-controller-manager",
            vec![
                kubeconfig("controller-manager"),
                format!("--service-account-private-key-file={}", key("sa.key")),
                format!("--root-ca-file={}", key("ca.crt")),
                "--use-service-account-credentials=true".into(),
                "--leader-elect=false".into(),
                "--bind-address=127.0.0.1".into(),
            ],
        ),
        program(
            "kube-scheduler",
            vec![
                kubeconfig("scheduler"),
                "--leader-elect=false".into(),
                "--bind-address=127.0.0.1".into(),
            ],
        ),
        program(
            "containerd",
            vec![format!(
                "--config={}",
                state.join("containerd.toml").display()
            )],
        ),
        program(
            "kubelet",
            vec![
                format!("--config={}", state.join("kubelet.yaml").display()),
                kubeconfig("kubelet"),
                format!("--root-dir={}", place.kubelet().display()),
                format!("--hostname-override={NODE}"),
                format!("--node-ip={NODE_IP}"),
            ],
        ),
    ]
}

fn kubeconfig(keys: &Path, name: &str) -> Result<String> {
    let token = keys::token(keys, name)?;
    let authority = keys.join("ca.crt");
    Ok(format!(
        "apiVersion: v1
kind: Config
clusters:
- name: strata
  cluster: {{server: 'https://{SERVICE_IP}:443', certificate-authority: {}}}
users:
- name: {name}
  user: {{token: {token}}}
contexts:
- name: strata
  context: {{cluster: strata, user: {name}}}
current-context: strata
",
        authority.display()
    ))
}

/// Without `restrict_oom_score_adj` no pod starts where CAP_SYS_RESOURCE is missing, as in many machines for tests.
fn containerd(place: &Place, system: &System) -> Result<String> {
    Ok(format!(
        "version = 2
root = \"{root}\"
state = \"{run}/containerd\"
[grpc]
address = \"{socket}\"
[plugins.\"io.containerd.grpc.v1.cri\"]
sandbox_image = \"{PAUSE}\"
restrict_oom_score_adj = true
[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]
runtime_type = \"io.containerd.runc.v2\"
[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]
BinaryName = \"{runc}\"
SystemdCgroup = false
[plugins.\"io.containerd.grpc.v1.cri\".cni]
bin_dir = \"{plugins}\"
conf_dir = \"{networks}\"
",
        root = place.state().join("containerd").display(),
        run = place.run().display(),
        socket = place.socket().display(),
        runc = system.program("runc")?.display(),
        plugins = system.plugins().display(),
        networks = place.state().join("networks").display(),
    ))
}

/// No masquerading, which would need iptables: pods reach each other and this machine, not the world.
fn network(place: &Place) -> String {
    format!(
        r#"{{"cniVersion": "0.4.0", "name": "{NETWORK}", "plugins": [
  {{"type": "bridge", "bridge": "{BRIDGE}", "isGateway": true, "hairpinMode": true,
   "ipam": {{"type": "host-local", "dataDir": "{}", "ranges": [[{{"subnet": "{PODS}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}}]}}
"#,
        place.state().join("addresses").display()
    )
}

/// Images that nobody can pull again must not be collected, however full the disk is.
fn kubelet(place: &Place, version: &str) -> String {
    let keys = place.state().join("keys");
    let keys = keys.display();
    let minor: u32 = version
        .split('.')
        .nth(1)
        .and_then(|minor| minor.parse().ok())
        .unwrap_or(0);
    // Older ones do not know the field.
    let cgroups = if minor >= 31 {
        "failCgroupV1: false\n"
    } else {
        ""
    };
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: {keys}/ca.crt}}
authorization: {{mode: Webhook}}
tlsCertFile: {keys}/kubelet.crt
tlsPrivateKeyFile: {keys}/kubelet.key
address: {NODE_IP}
healthzBindAddress: 127.0.0.1
cgroupDriver: cgroupfs
{cgroups}failSwapOn: false
makeIPTablesUtilChains: false
containerRuntimeEndpoint: unix://{socket}
volumePluginDir: {plugins}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
evictionHard: {{memory.available: 100Mi, nodefs.available: 1%, nodefs.inodesFree: 1%, imagefs.available: 1%}}
",
        socket = place.socket().display(),
        plugins = place.state().join("volume-plugins").display(),
    )
}
