#!/usr/bin/env bash
# Brings a Debian 12 machine everything that the tests need besides the Rust toolchain: packages, a Debian sid root file
# system with newer CPythons, a container image of it, older kernels for QEMU, and the programs that read our formats.
#
#   sudo tests/setup.sh            # ten minutes on a new machine, about a second when all is there
#
# One thing that can't be had never stops the rest. Each line says what came of one need:
#   got: NAME WHERE-OR-VERSION
#   missing: NAME REASON
# Tests that need a missing thing skip themselves and say so; the exit code is 0 unless the cache folder can't be made.
#
# Everything but the packages lies under $STRATA_TEST_DIR (default /var/cache/strata-test), and deleting that folder
# undoes it:
#   sid/                      root file system with python3.13, python3.14, python3.15
#   sid.packages              its Pythons with versions; written last, so it marks a complete tree
#   sid.image                 id of the container image strata-test:sid
#   kernels/5.10/vmlinuz      Debian's cloud kernels, with `version` and `config` beside them
#   kernels/6.12/vmlinuz
#   py-spy/                   virtual environment with py-spy
#   austin/                   the same with Austin, for the bench
#   ddtrace/                  the same with Datadog's tracer, which publishes a process context
#   push/                     the same with Pyroscope's client, gRPC and protobuf: receives what is pushed
#   bin/pprof                 Go's `go tool pprof`
#   bin/otelcol               an OpenTelemetry Collector: OTLP in, a file of JSON out
#   bin/prometheus            scrapes the agent's metrics, and answers queries
#   bin/promtool              finds fault with them
#   bin/kubectl               renders deploy/kustomize
#   schemas/                  virtual environment that knows Kubernetes' schemas and CycloneDX'
#   speedscope/               npm's package of speedscope; tests open it in Chromium
#   log/                      output of the commands behind each `missing:` line
set -uo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

readonly CACHE=${STRATA_TEST_DIR:-/var/cache/strata-test}
readonly LOGS=$CACHE/log
readonly IMAGE=strata-test:sid
readonly PACKAGES=(
    gcc g++ binutils gcc-multilib       # workloads; -m32 for the target whose stacks we must refuse
    golang-go                           # a workload that is stripped and still has names
    libc6-dbg                           # a separate debug file, found by build id
    python3                             # Debian's own CPython 3.11: static, stripped, with PGO and LTO
    debootstrap docker.io runc          # other user lands, containers
    qemu-system-x86 busybox-static cpio # other kernels
    python3-venv                        # for py-spy, Austin, ddtrace and the receivers
    linux-perf                          # the bench compares with it
    chromium                            # shows speedscope
    systemd                             # runs the agent's unit
)
# Sid's interpreters, best set first: a set that can't be had whole is followed by the next.
readonly SID_PYTHONS=("python3.13 python3.14 python3.15" "python3.13 python3.14" "python3.13")

# Readers of our formats. The Collector's own version decides which version of the profiles protocol it takes.
readonly SPEEDSCOPE=1.25.0
readonly DDTRACE=4.16.0
readonly PYROSCOPE=1.4.0            # its client
readonly COLLECTOR=0.159.0
readonly COLLECTOR_PROVIDERS=1.65.0 # its configuration library, numbered apart
readonly KUBERNETES_VALIDATE=1.37.0
readonly CYCLONEDX=11.12.0          # its Python library
readonly GO=1.26.8                  # oldest series that builds that Collector

n_got=0
n_missing=0
got() { n_got=$((n_got + 1)); printf 'got: %s %s\n' "$1" "$2"; }
missing() { n_missing=$((n_missing + 1)); printf 'missing: %s %s\n' "$1" "$2"; }

# The last line of a log that tells a cause, for a `missing:` line. The mirror's address is nobody's business here.
cause() {
    local line
    line=$(grep -E '^(E:|W:)|[Ee]rror|[Ff]ailed|[Cc]ouldn.t' "$1" 2>/dev/null | tail -n 1)
    [ -n "$line" ] || line=$(tail -n 1 "$1" 2>/dev/null)
    printf '%s (see %s)' "$(sed -E 's#[a-z]+://[^ ]+#URL#g' <<<"${line:-it printed nothing}")" "$1"
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Which mirror this machine uses is read at run time and kept in no file of ours.
mirror() {
    apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 !~ /-security|-updates|-backports/ && $1 ~ /debian\/?$/ { print $1; exit }'
}

# ---------------------------------------------------------------------------------------------------- packages

install_packages() {
    local wanted=() name log=$LOGS/packages.log
    for name in "${PACKAGES[@]}"; do installed "$name" || wanted+=("$name"); done
    if [ ${#wanted[@]} -gt 0 ]; then
        # RUNLEVEL=1 keeps invoke-rc.d from starting a Docker engine that nobody would stop again.
        local apt=(env RUNLEVEL=1 apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300)
        {
            "${apt[@]}" update
            # All at once is far quicker; one by one when one of them spoils it.
            "${apt[@]}" install "${wanted[@]}" ||
                for name in "${wanted[@]}"; do "${apt[@]}" install "$name"; done
        } >"$log" 2>&1 </dev/null
    fi
    for name in "${PACKAGES[@]}"; do
        if installed "$name"; then
            got "$name" "$(dpkg-query -W -f '${Version}' "$name")"
        else
            missing "$name" "$(cause "$log")"
        fi
    done
}

# ---------------------------------------------------------------------------------------------------- kernels

# other_suite WORK SUITE: lets `apt-get -c WORK/apt.conf` and apt-cache see that suite, and it alone. Sources list, state and
# cache are its own, so the machine's own configuration never learns of it.
other_suite() {
    local work=$1 suite=$2 url
    url=$(mirror)
    [ -n "$url" ] || return
    mkdir -p "$work/state/lists/partial" "$work/cache/archives/partial"
    : >"$work/status"
    echo "deb $url $suite main" >"$work/sources.list"
    cat >"$work/apt.conf" <<-CONF
	#clear APT::Update::Post-Invoke;
	#clear APT::Update::Post-Invoke-Success;
	#clear Acquire::IndexTargets::deb::DEP-11;
	Dir::Etc::SourceList "$work/sources.list";
	Dir::Etc::SourceParts "/dev/null";
	Dir::State "$work/state";
	Dir::State::status "$work/status";
	Dir::Cache "$work/cache";
	APT::Sandbox::User "root";
	Acquire::Check-Valid-Until "false";
	Acquire::Languages "none";
	CONF
}

# download_kernel SERIES SUITE: the newest cloud kernel of the series, unpacked only.
download_kernel() {
    local series=$1 suite=$2 dir=$CACHE/kernels/$1 log=$LOGS/kernel-$1.log work package deb
    if [ -s "$dir/vmlinuz" ] && [ -s "$dir/version" ]; then
        got "kernel-$series" "$(cat "$dir/version") $dir/vmlinuz"
        return
    fi
    work=$(mktemp -d)
    if ! other_suite "$work" "$suite"; then
        missing "kernel-$series" "no Debian mirror in apt's sources"
        rm -rf "$work"
        return
    fi
    {
        apt-get -c "$work/apt.conf" -qq update
        package=$(apt-cache -c "$work/apt.conf" pkgnames "linux-image-$series." |
            grep -E -- '-cloud-amd64$' | sort -V | tail -n 1)
        [ -n "$package" ] && echo "$package" && (cd "$work" && apt-get -c "$work/apt.conf" -qq download "$package")
    } >"$log" 2>&1 </dev/null
    deb=$(find "$work" -maxdepth 1 -name '*.deb' | head -n 1)
    if [ -z "$deb" ]; then
        missing "kernel-$series" "${package:-no linux-image-$series…-cloud-amd64 in $suite}: $(cause "$log")"
    elif dpkg-deb --fsys-tarfile "$deb" 2>>"$log" | tar -x -C "$work" --wildcards './boot/*' 2>>"$log" &&
        mkdir -p "$dir" && mv "$work"/boot/vmlinuz-* "$dir/vmlinuz" && mv "$work"/boot/config-* "$dir/config"; then
        echo "${package#linux-image-}" >"$dir/version"
        got "kernel-$series" "$(cat "$dir/version") $dir/vmlinuz"
    else
        missing "kernel-$series" "$package does not unpack: $(cause "$log")"
    fi
    rm -rf "$work"
}

# ---------------------------------------------------------------------------------------------------- sid

# A half-made tree of an earlier run may still have /proc mounted in it.
remove_tree() {
    local point
    awk -v root="$1/" 'index($2, root) == 1 { print $2 }' /proc/mounts | sort -r |
        while read -r point; do umount -l "$point"; done
    rm -rf --one-file-system "$1"
}

make_sid() {
    local root=$CACHE/sid new=$CACHE/sid.new log=$LOGS/sid.log url set name
    if [ ! -s "$CACHE/sid.packages" ] || [ ! -d "$root/usr" ]; then
        url=$(mirror)
        if [ -z "$url" ]; then
            missing sid "no Debian mirror in apt's sources"
            return
        elif ! command -v debootstrap >/dev/null; then
            missing sid "debootstrap is not installed"
            return
        fi
        rm -f "$CACHE/sid.packages"
        remove_tree "$root"
        : >"$log"
        for set in "${SID_PYTHONS[@]}"; do
            remove_tree "$new"
            debootstrap --variant=minbase --include="${set// /,}" sid "$new" "$url" </dev/null 2>&1 |
                sed -E 's#[a-z]+://[^ ]+#MIRROR#g' >>"$log" && break
            set=
        done
        if [ -z "$set" ]; then
            missing sid "$(cause "$log")"
            remove_tree "$new"
            return
        fi
        # What names the mirror goes, and what only fills the container image.
        rm -rf "$new"/etc/apt/sources.list "$new"/etc/apt/sources.list.d/* "$new"/var/log/bootstrap.log \
            "$new"/var/lib/apt/lists/* "$new"/var/cache/apt/*.bin "$new"/var/cache/apt/archives/*.deb \
            "$new"/etc/resolv.conf "$new"/etc/hostname
        mv "$new" "$root"
        for name in $set; do
            chroot "$root" "$name" -c 'import sys; print("python%d.%d" % sys.version_info[:2], sys.version.split()[0])'
        done >"$CACHE/sid.packages.new" 2>>"$log"
        mv "$CACHE/sid.packages.new" "$CACHE/sid.packages"
    fi
    got sid "$root"
    for name in ${SID_PYTHONS[0]}; do
        if grep -q "^$name " "$CACHE/sid.packages"; then
            got "sid-$name" "$(sed -n "s/^$name //p" "$CACHE/sid.packages") $root/usr/bin/$name"
        else
            missing "sid-$name" "sid does not have it just now (see $log)"
        fi
    done
}

# ---------------------------------------------------------------------------------------------------- container image

# Imported here and not by each test: it copies the whole tree, and a test that wants a container then only has to have
# an engine running. Where none runs, this one runs for the import alone, without touching the firewall.
import_image() {
    local log=$LOGS/image.log run pid='' id old
    if ! command -v dockerd docker >/dev/null; then
        missing "image-$IMAGE" "docker.io is not installed"
        return
    elif [ ! -s "$CACHE/sid.packages" ]; then
        missing "image-$IMAGE" "there is no sid root file system to import"
        return
    fi
    # An engine's store tells without an engine whether the image of this very tree is still there.
    id=$(cat "$CACHE/sid.image" 2>/dev/null)
    if [ -n "$id" ] && [ "$CACHE/sid.image" -nt "$CACHE/sid.packages" ] &&
        [ -n "$(find /var/lib/docker/image/*/imagedb/content/sha256/ -name "${id#sha256:}" 2>/dev/null)" ]; then
        got "image-$IMAGE" "$id"
        return
    fi
    old=$id
    run=$(mktemp -d)
    : >"$log"
    if ! docker version >/dev/null 2>&1; then
        dockerd --iptables=false --ip6tables=false --bridge=none --pidfile "$run/pid" >"$run/dockerd.log" 2>&1 </dev/null 9>&- &
        pid=$!
        for _ in $(seq 60); do
            docker version >/dev/null 2>&1 && break
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.5
        done
    fi
    if id=$(tar -C "$CACHE/sid" --one-file-system -c . 2>>"$log" |
        docker import --change 'CMD ["/bin/sh"]' - "$IMAGE" 2>>"$log") && [ -n "$id" ]; then
        echo "$id" >"$CACHE/sid.image"
        # The tag moved on; what an older tree left behind is only disk space.
        [ -z "$old" ] || [ "$old" = "$id" ] || docker rmi "$old" >>"$log" 2>&1
        got "image-$IMAGE" "$id"
    else
        [ -z "$pid" ] || tail -n 20 "$run/dockerd.log" >>"$log"
        missing "image-$IMAGE" "$(cause "$log")"
    fi
    if [ -n "$pid" ]; then
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    fi
    rm -rf "$run"
}

# ---------------------------------------------------------------------------------------------------- pyenv

# Builds with a shared libpython, symbols and DWARF. They take an hour to compile, so they are found, never made.
list_pyenv() {
    local version python found
    for version in 3.8 3.9 3.10 3.11 3.12 3.13; do
        found=
        for python in "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python3; do
            [ -x "$python" ] && found=$python
        done
        if [ -n "$found" ]; then
            got "pyenv-python$version" "$found"
        else
            missing "pyenv-python$version" "no such build under ${PYENV_ROOT:-$HOME/.pyenv}/versions"
        fi
    done
}

# ---------------------------------------------------------------------------------------------------- py-spy

install_py_spy() {
    local log=$LOGS/py-spy.log program=$CACHE/py-spy/bin/py-spy
    if ! [ -x "$program" ]; then
        /usr/bin/python3 -m venv "$CACHE/py-spy" >"$log" 2>&1 </dev/null &&
            "$CACHE/py-spy/bin/pip" -q --disable-pip-version-check install py-spy >>"$log" 2>&1 </dev/null
    fi
    if [ -x "$program" ]; then
        got py-spy "$("$program" --version) $program"
    else
        missing py-spy "$(cause "$log")"
    fi
}

# A real client of Pyroscope, and what takes its messages and ours apart.
install_receivers() {
    local log=$LOGS/receivers.log folder=$CACHE/push
    if ! "$folder/bin/python" -c 'import grpc, google.protobuf, pyroscope' 2>/dev/null; then
        /usr/bin/python3 -m venv "$folder" >"$log" 2>&1 </dev/null &&
            "$folder/bin/pip" -q --disable-pip-version-check install \
                "pyroscope-io==$PYROSCOPE" grpcio protobuf >>"$log" 2>&1 </dev/null
    fi
    if "$folder/bin/python" -c 'import grpc, google.protobuf, pyroscope' 2>>"$log"; then
        got receivers "pyroscope-io $PYROSCOPE $folder"
    else
        missing receivers "$(cause "$log")"
    fi
}

# Only the bench needs it.
install_austin() {
    local log=$LOGS/austin.log program=$CACHE/austin/bin/austin
    if ! [ -x "$program" ]; then
        /usr/bin/python3 -m venv "$CACHE/austin" >"$log" 2>&1 </dev/null &&
            "$CACHE/austin/bin/pip" -q --disable-pip-version-check install austin-dist >>"$log" 2>&1 </dev/null
    fi
    if [ -x "$program" ]; then
        got austin "$("$CACHE/austin/bin/pip" --disable-pip-version-check list 2>/dev/null | sed -n 's/^austin-dist *//p') $program"
    else
        missing austin "$(cause "$log")"
    fi
}

# It tells of its service in a way that others wrote.
install_ddtrace() {
    local log=$LOGS/ddtrace.log folder=$CACHE/ddtrace
    if ! [ -d "$folder/lib/python3.11/site-packages/ddtrace-$DDTRACE.dist-info" ]; then
        /usr/bin/python3 -m venv "$folder" >"$log" 2>&1 </dev/null &&
            "$folder/bin/pip" -q --disable-pip-version-check install "ddtrace==$DDTRACE" >>"$log" 2>&1 </dev/null
    fi
    if [ -d "$folder/lib/python3.11/site-packages/ddtrace-$DDTRACE.dist-info" ]; then
        got ddtrace "$DDTRACE $folder"
    else
        missing ddtrace "$(cause "$log")"
    fi
}

# ---------------------------------------------------------------------------------------------------- readers of formats

install_speedscope() {
    local log=$LOGS/speedscope.log work
    if [ "$(cat "$CACHE/speedscope/version" 2>/dev/null)" != "$SPEEDSCOPE" ]; then
        work=$(mktemp -d)
        {
            # Some machines have an npm of another origin, which Debian's package would push out.
            command -v npm || env RUNLEVEL=1 apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 install npm
            (cd "$work" && npm pack --silent "speedscope@$SPEEDSCOPE" && tar -xzf speedscope-*.tgz) &&
                rm -rf "$CACHE/speedscope" && mv "$work/package" "$CACHE/speedscope" &&
                echo "$SPEEDSCOPE" >"$CACHE/speedscope/version"
        } >"$log" 2>&1 </dev/null
        rm -rf "$work"
    fi
    if [ "$(cat "$CACHE/speedscope/version" 2>/dev/null)" = "$SPEEDSCOPE" ]; then
        got speedscope "$SPEEDSCOPE $CACHE/speedscope/dist/release/index.html"
    else
        missing speedscope "$(cause "$log")"
    fi
}

# find_go FOLDER: prints the path of a Go that is new enough. An older one, such as Debian's, can fetch it: Go publishes
# its toolchains as a module, whose programs lack their execute bits and whose own go.mod files have other names.
find_go() {
    local go=go root
    command -v go >/dev/null ||
        env RUNLEVEL=1 apt-get -qq -y --no-install-recommends -o DPkg::Lock::Timeout=300 install golang-go >&2
    if printf '%s\n' "go$GO" "$(GOTOOLCHAIN=local $go env GOVERSION)" | sort -V -C; then
        command -v go
        return
    fi
    # A folder without a go.mod, since some versions look at one first.
    root=$(cd "$1" && GOTOOLCHAIN=local $go mod download -json "golang.org/toolchain@v0.0.1-go$GO.linux-amd64" |
        sed -n 's/^\t"Dir": "\(.*\)",\?$/\1/p')
    [ -n "$root" ] && chmod -R u+w "$root" && chmod +x "$root"/bin/* "$root"/pkg/tool/*/* &&
        mv "$root/src/_go.mod" "$root/src/go.mod" && mv "$root/src/cmd/_go.mod" "$root/src/cmd/go.mod" &&
        echo "$root/bin/go"
}

# Both programs are built, and what they are built from goes again: a gigabyte.
build_go_programs() {
    local log=$LOGS/go.log work go
    if ! [ -x "$CACHE/bin/pprof" ] || ! "$CACHE/bin/otelcol" --version 2>/dev/null | grep -qF "$COLLECTOR"; then
        work=$(mktemp -d -p "$CACHE")
        mkdir -p "$CACHE/bin" "$work/src"
        cat >"$work/manifest.yaml" <<-YAML
	dist: {name: otelcol, version: $COLLECTOR, output_path: $work/otelcol}
	receivers:
	  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v$COLLECTOR
	exporters:
	  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter v$COLLECTOR
	providers:
	  - gomod: go.opentelemetry.io/collector/confmap/provider/envprovider v$COLLECTOR_PROVIDERS
	  - gomod: go.opentelemetry.io/collector/confmap/provider/fileprovider v$COLLECTOR_PROVIDERS
	YAML
        (
            export GOPATH=$work/go GOCACHE=$work/cache GOFLAGS=-modcacherw
            go=$(find_go "$work/src") || exit
            # The first is what `go tool pprof` runs; from Go 1.25 on it comes as source only.
            export GOTOOLCHAIN=local PATH=${go%/*}:$PATH CGO_ENABLED=0
            cd "$work/src" || exit
            "$go" build -o "$CACHE/bin/pprof" cmd/pprof
            "$go" install "go.opentelemetry.io/collector/cmd/builder@v$COLLECTOR" &&
                "$GOPATH/bin/builder" --config "$work/manifest.yaml" &&
                mv "$work/otelcol/otelcol" "$CACHE/bin/otelcol"
        ) >"$log" 2>&1 </dev/null
        rm -rf "$work"
    fi
    if [ -x "$CACHE/bin/pprof" ]; then
        got pprof "$CACHE/bin/pprof"
    else
        missing pprof "$(cause "$log")"
    fi
    if [ -x "$CACHE/bin/otelcol" ]; then
        got otelcol "$COLLECTOR $CACHE/bin/otelcol"
    else
        missing otelcol "$(cause "$log")"
    fi
}

# Unpacked, not installed: the package would start a server.
unpack_prometheus() {
    local log=$LOGS/prometheus.log work program
    if ! [ -x "$CACHE/bin/prometheus" ] || ! [ -x "$CACHE/bin/promtool" ]; then
        work=$(mktemp -d)
        mkdir -p "$CACHE/bin"
        {
            apt-cache show prometheus >/dev/null || apt-get -qq -o DPkg::Lock::Timeout=300 update
            (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download prometheus &&
                dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x --wildcards './usr/bin/*') &&
                mv "$work"/usr/bin/prometheus "$work"/usr/bin/promtool "$CACHE/bin/"
        } >"$log" 2>&1 </dev/null
        rm -rf "$work"
    fi
    for program in prometheus promtool; do
        if [ -x "$CACHE/bin/$program" ]; then
            got "$program" "$("$CACHE/bin/$program" --version 2>&1 | sed -n 's/^[a-z]*, version \([^ ]*\).*/\1/p') $CACHE/bin/$program"
        else
            missing "$program" "$(cause "$log")"
        fi
    done
}

# ---------------------------------------------------------------------------------------------------- manifests, image

# What knows Kubernetes' and CycloneDX' schemas.
install_schemas() {
    local log=$LOGS/schemas.log folder=$CACHE/schemas python=$CACHE/schemas/bin/python
    local wanted="kubernetes-validate==$KUBERNETES_VALIDATE cyclonedx-python-lib==$CYCLONEDX"
    if [ "$(cat "$folder/wanted" 2>/dev/null)" != "$wanted" ]; then
        rm -rf "$folder"
        /usr/bin/python3 -m venv "$folder" >"$log" 2>&1 </dev/null &&
            "$folder/bin/pip" -q --disable-pip-version-check install "kubernetes-validate==$KUBERNETES_VALIDATE" \
                "cyclonedx-python-lib[json-validation]==$CYCLONEDX" pyyaml >>"$log" 2>&1 </dev/null &&
            echo "$wanted" >"$folder/wanted"
    fi
    if "$python" -c 'import kubernetes_validate, yaml, cyclonedx.validation.json' 2>>"$log"; then
        got schemas "$wanted $folder"
    else
        missing schemas "$(cause "$log")"
    fi
}

# Debian 12's own kubectl is too old to know kustomize's components. Unpacked, not installed.
unpack_kubectl() {
    local log=$LOGS/kubectl.log work
    if ! [ -x "$CACHE/bin/kubectl" ]; then
        work=$(mktemp -d)
        mkdir -p "$CACHE/bin"
        {
            other_suite "$work" trixie && apt-get -c "$work/apt.conf" -qq update &&
                (cd "$work" && apt-get -c "$work/apt.conf" -qq download kubectl &&
                    dpkg-deb --fsys-tarfile kubectl_*.deb | tar -x ./usr/bin/kubectl) &&
                "$work/usr/bin/kubectl" version --client && mv "$work/usr/bin/kubectl" "$CACHE/bin/kubectl"
        } >"$log" 2>&1 </dev/null
        rm -rf "$work"
    fi
    if [ -x "$CACHE/bin/kubectl" ]; then
        got kubectl "$("$CACHE/bin/kubectl" version --client 2>/dev/null | sed -n 's/^Client Version: //p') $CACHE/bin/kubectl"
    else
        missing kubectl "$(cause "$log")"
    fi
}

main() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "tests/setup.sh installs packages and makes a root file system: run it as root." >&2
        exit 1
    fi
    if ! mkdir -p "$LOGS"; then
        echo "$CACHE can't be made: set STRATA_TEST_DIR to a folder that can." >&2
        exit 1
    fi
    exec 9>"$CACHE/lock"
    flock 9
    install_packages
    download_kernel 5.10 bullseye
    download_kernel 6.12 bookworm-backports
    make_sid
    import_image
    list_pyenv
    install_py_spy
    install_receivers
    install_austin
    install_ddtrace
    install_speedscope
    build_go_programs
    unpack_prometheus
    install_schemas
    unpack_kubectl
    echo "setup: $n_got there, $n_missing missing"
}

main "$@"
