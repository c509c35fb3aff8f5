use super::*;

const A: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const B: &str = "89abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567";

fn id(name: &str) -> Option<&str> {
    id_in_name(name.as_bytes())
}

#[test]
fn names() {
    for name in [
        A.to_owned(),
        format!("docker-{A}.scope"),
        format!("cri-containerd-{A}.scope"),
        format!("crio-{A}"),
        format!("libpod-{A}.scope"),
        format!("kubepods-besteffort-pod1234.slice:cri-containerd:{A}"),
    ] {
        assert_eq!(id(&name), Some(A), "{name}");
    }
    let task = format!("{}-3456789", &A[..32]);
    assert_eq!(id(&task), Some(&*task));
    for name in [
        format!("crio-conmon-{A}.scope"),
        format!("0{A}"),
        A[1..].to_owned(),
        A.to_uppercase(),
        "system.slice".to_owned(),
        format!("{}-", &A[..32]),
        format!("{}é{}", &A[..31], &A[..32]),
    ] {
        assert_eq!(id(&name), None, "{name}");
    }
    assert_eq!(id_in_name(b"\xFF"), None);
}

#[test]
fn prefixes() {
    assert!(is_id_prefix(&A[..12]) && is_id_prefix(A));
    assert!(!is_id_prefix(&A[..11]) && !is_id_prefix("my-container"));
    assert!(is_id_prefix(&format!("{}-77", &A[..32])));
}

/// Whole files as machines of each kind have them; `A` and `B` stand for ids.
const MACHINES: &[(&str, &str, &str)] = &[
    // cgroup v1 and hybrid.
    (
        "docker, cgroupfs, hybrid",
        "12:pids:/docker/A\n11:cpuset:/docker/A\n10:cpu,cpuacct:/docker/A\n2:rdma:/\n\
         1:name=systemd:/docker/A\n0::/system.slice/containerd.service\n",
        "A",
    ),
    (
        "docker, systemd, v1",
        "11:memory:/system.slice/docker-A.scope\n4:cpuacct,cpu:/system.slice/docker-A.scope\n\
         1:name=systemd:/system.slice/docker-A.scope\n",
        "A",
    ),
    (
        "containerd in Kubernetes, cgroupfs, v1",
        "11:hugetlb:/kubepods/burstable/pod3d274242-8ee0-11e9-a8a6-1e68d864ef1a/A\n\
         1:name=systemd:/kubepods/burstable/pod3d274242-8ee0-11e9-a8a6-1e68d864ef1a/A\n",
        "A",
    ),
    (
        "guaranteed pods have no class, cgroupfs, v1",
        "2:devices:/kubepods/pod9023d6bd-8ee1-11e9-8a06-067cd1b2cd40/A\n",
        "A",
    ),
    (
        "containerd that is told a systemd path and does not use systemd, v1",
        "9:memory:/system.slice/containerd.service/\
         kubepods-besteffort-pod6a1d2e3f_0000_4000_8000_1234567890ab.slice:cri-containerd:A\n",
        "A",
    ),
    (
        "CRI-O, systemd, v1",
        "10:pids:/kubepods.slice/kubepods-besteffort.slice/\
         kubepods-besteffort-pod6a1d2e3f_0000_4000_8000_1234567890ab.slice/crio-A.scope\n",
        "A",
    ),
    (
        "ECS on EC2, v1",
        "9:perf_event:/ecs/55091c13-b8cf-4801-b527-f4601742204d/A\n0::/\n",
        "A",
    ),
    (
        "ECS on Fargate, v1",
        "11:hugetlb:/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-3456789\n",
        "0123456789abcdef0123456789abcdef-3456789",
    ),
    (
        "systemd in docker, v1",
        "8:cpu,cpuacct:/docker/A/system.slice/cron.service\n\
         1:name=systemd:/docker/A/system.slice/cron.service\n",
        "A",
    ),
    (
        "docker in docker, whose engine uses some hierarchies only",
        "5:pids:/docker/A\n4:memory:/docker/A/docker/B\n3:cpuset:/docker/A\n0::/docker/A\n",
        "B",
    ),
    // cgroup v2.
    (
        "docker, systemd, v2",
        "0::/system.slice/docker-A.scope\n",
        "A",
    ),
    ("docker, cgroupfs, v2", "0::/docker/A\n", "A"),
    (
        "docker, systemd in it",
        "0::/system.slice/docker-A.scope/init.scope\n",
        "A",
    ),
    (
        "containerd in Kubernetes, systemd, v2",
        "0::/kubepods.slice/kubepods-burstable.slice/\
         kubepods-burstable-pod6a1d2e3f_0000_4000_8000_1234567890ab.slice/cri-containerd-A.scope\n",
        "A",
    ),
    (
        "CRI-O, systemd, v2",
        "0::/kubepods.slice/kubepods-pod6a1d2e3f_0000_4000_8000_1234567890ab.slice/\
         crio-A.scope/container\n",
        "A",
    ),
    (
        "kind: Kubernetes in docker",
        "0::/system.slice/docker-A.scope/kubelet.slice/kubelet-kubepods.slice/\
         kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod6a1d2e3f.slice/\
         cri-containerd-B.scope\n",
        "B",
    ),
    ("nerdctl, cgroupfs", "0::/default/A\n", "A"),
    (
        "nerdctl, systemd",
        "0::/system.slice/nerdctl-A.scope\n",
        "A",
    ),
    (
        "podman",
        "0::/machine.slice/libpod-A.scope/container\n",
        "A",
    ),
    ("podman, cgroupfs", "0::/libpod_parent/libpod-A\n", "A"),
    (
        "podman of a user",
        "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-A.scope/container\n",
        "A",
    ),
    (
        "podman started by a unit",
        "0::/system.slice/web.service/libpod-payload-A\n",
        "A",
    ),
    (
        "seen from another container",
        "0::/../../kubepods-besteffort-pod6a1d2e3f.slice/cri-containerd-A.scope\n",
        "A",
    ),
    ("an ending container", "0::/docker/A (deleted)\n", "A"),
    // No containers.
    (
        "podman's helper",
        "0::/machine.slice/libpod-conmon-A.scope\n",
        "",
    ),
    (
        "CRI-O's helper",
        "0::/kubepods.slice/kubepods-pod6a1d2e3f.slice/crio-conmon-A.scope\n",
        "",
    ),
    (
        "a helper in a container",
        "0::/docker/A/machine.slice/libpod-conmon-B.scope\n",
        "A",
    ),
    ("a service", "0::/system.slice/ssh.service\n", ""),
    (
        "a session",
        "0::/user.slice/user-1000.slice/session-2.scope\n",
        "",
    ),
    (
        "a transient unit",
        "0::/system.slice/run-r0123456789abcdef0123456789abcdef.scope\n",
        "",
    ),
    (
        "systemd-nspawn, which has names and no ids",
        "0::/machine.slice/systemd-nspawn@web.service/payload\n",
        "",
    ),
    ("LXC, likewise", "0::/lxc.payload.web/init.scope\n", ""),
    ("a kernel thread", "0::/\n", ""),
    (
        "v1 without containers",
        "3:cpu,cpuacct:/\n1:name=systemd:/init.scope\n0::/init.scope\n",
        "",
    ),
];

fn filled(text: &str) -> String {
    let parts = text.split('A').collect::<Vec<_>>().join(A);
    parts.split('B').collect::<Vec<_>>().join(B)
}

#[test]
fn machines() {
    for (machine, text, expected) in MACHINES {
        // The letters stand in no name else.
        let text = filled(text);
        let found = id_in_membership(text.as_bytes()).unwrap_or_default();
        assert_eq!(found, filled(expected), "{machine}:\n{text}");
    }
}

#[test]
fn hostile_texts() {
    for text in [
        b"".as_slice(),
        b"\n\n\n",
        b"0::",
        b"0:/docker",
        b":\n::\n:::\n",
        b"0::/\xFF\xFE/docker\n",
        b"\0\0\0",
    ] {
        assert_eq!(id_in_membership(text), None, "{text:?}");
    }
    // As deep and as long as it may be.
    let mut deep = b"0::".to_vec();
    while deep.len() < MEMBERSHIP as usize {
        deep.extend_from_slice(b"/x");
    }
    assert_eq!(id_in_membership(&deep), None);
    let cut = format!("0::/docker/{A}");
    for length in 0..cut.len() {
        assert_eq!(id_in_membership(&cut.as_bytes()[..length]), None);
    }
}

#[test]
fn our_own_container() {
    let roots = [
        ("", format!("/system.slice/docker-{A}.scope")),
        ("cpu,cpuacct", format!("/docker/{A}")),
        ("memory", String::new()),
    ];
    let roots: Vec<(&str, &str)> = roots.iter().map(|(name, path)| (*name, &**path)).collect();
    let roots = Roots::of(&roots);
    let found = |text: &str| id_with_roots(text.as_bytes(), &roots);
    for text in [
        "0::/\n",
        "0::/init\n",
        "4:memory:/\n3:cpu,cpuacct:/\n",
        // From a cgroup of its own below the container's.
        "0::/../docker-B.scope/../docker-X\n3:cpu,cpuacct:/y\n",
    ] {
        assert_eq!(found(text).as_deref(), Some(A), "{text}");
    }
    for text in [
        "0::/..\n",
        "0::/../ssh.service\n",
        "4:memory:/\n",
        "9:pids:/\n",
    ] {
        assert_eq!(found(text), None, "{text}");
    }
}

#[test]
fn pods_by_both_drivers() {
    let uid = "5f3c2a10-9d1e-4b6a-8c55-0a1b2c3d4e5f";
    let pod = |path: &str| pod_in_path(path.as_bytes());
    let is = |uid: &str| Some(uid.to_owned());
    let under = uid.replace('-', "_");
    for path in [
        format!("/kubepods/besteffort/pod{uid}/{}", "a".repeat(64)),
        format!("/kubepods/pod{uid}"),
        format!("/kubelet/kubepods/burstable/pod{uid}/{}", "a".repeat(64)),
        format!(
            "/kubepods.slice/kubepods-pod{under}.slice/cri-containerd-{}.scope",
            "a".repeat(64)
        ),
        format!("/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice"),
        format!(
            "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{under}.slice/x"
        ),
    ] {
        assert_eq!(pod(&path), is(uid), "{path}");
    }
    // What a process in a pod makes below it names no other.
    let other = "00000000-9d1e-4b6a-8c55-0a1b2c3d4e5f";
    let forged = format!(
        "/kubepods/pod{uid}/{}/kubepods/pod{other}/x",
        "a".repeat(64)
    );
    assert_eq!(pod(&forged), is(uid));
    let slices = format!("/kubepods.slice/kubepods-pod{under}.slice:cri-containerd:x");
    assert_eq!(pod(&slices), is(uid));
    let of_a_user = format!("/user.slice/user-1000.slice/kubepods/pod{uid}/x");
    assert_eq!(pod(&of_a_user), None);
    // A static pod.
    let hash = "0123456789abcdef0123456789abcdef";
    assert_eq!(pod(&format!("/kubepods/burstable/pod{hash}/x")), is(hash));
    for path in [
        "/",
        "/kubepods/burstable",
        "/kubepods/podx",
        &format!("/machine/pod{uid}"),
        &format!("/kubepods/pod{}", "g".repeat(36)),
        &format!("/kubepods.slice/kubepods-pod{}.slice", &under[1..]),
    ] {
        assert_eq!(pod(path), None, "{path}");
    }
}

/// With the cgroupfs driver, another pod's path from our own namespace has its pod and no `kubepods`.
#[test]
fn pods_seen_from_another_one() {
    let uid = "5f3c2a10-9d1e-4b6a-8c55-0a1b2c3d4e5f";
    let other = "00000000-9d1e-4b6a-8c55-0a1b2c3d4e5f";
    let own = format!(
        "kubepods/burstable/pod{}/x",
        "11111111".to_owned() + &uid[8..]
    );
    let known = Roots::of(&[("", &own)]);
    let unknown = Roots::default();
    let find = |path: &str, roots| pod_in_membership(format!("0::{path}\n").as_bytes(), roots);
    let is = |uid: &str| Some(uid.to_owned());

    let path = format!("/../../pod{uid}/y");
    assert_eq!(find(&path, Some(&known)), is(uid));
    assert_eq!(find(&path, Some(&unknown)), None);
    // It has made a cgroup of its own that looks like another's.
    let forged = format!("{path}/kubepods/pod{other}/z");
    assert_eq!(find(&forged, Some(&known)), is(uid));
    assert_eq!(find(&forged, Some(&unknown)), None);
    // With systemd's names the pod's own says that it is one.
    let slice = format!("/../../kubepods-pod{}.slice", uid.replace('-', "_"));
    for path in [slice.clone(), format!("{slice}/y/kubepods/pod{other}/z")] {
        assert_eq!(find(&path, Some(&unknown)), is(uid), "{path}");
    }
    assert_eq!(find(&format!("/kubepods/pod{uid}"), None), is(uid));
}

#[test]
fn what_is_deeper_than_containers_names_no_pod() {
    let uid = "5f3c2a10-9d1e-4b6a-8c55-0a1b2c3d4e5f";
    let pod = format!("pod{uid}");
    let names = [A.as_bytes(), pod.as_bytes(), b"burstable", b"kubepods"];
    let place = |levels| Place::of(names.into_iter(), levels);
    assert_eq!(place(5).pod_uid.as_deref(), Some(uid));
    for levels in [0, 40] {
        assert_eq!(place(levels).pod_uid, None);
        assert_eq!(place(levels).container_id.as_deref(), Some(A));
    }
}
