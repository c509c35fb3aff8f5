//! Names of native functions in the forms that different tools give them.

/// The bare name of a function: without result type, arguments, template arguments, clone suffix, and Rust's hash.
/// `unsigned long lib::descend<3>(lib::Thrower&, int) [clone .cold]` becomes `lib::descend`.
pub fn bare(name: &str) -> String {
    let name = name.split(" [clone").next().unwrap_or(name);
    let name = match name.split_once('.') {
        // GCC's `.cold`, `.part.0`, `.constprop.0`, `.isra.0` of C functions.
        Some((front, _)) if !front.is_empty() && !front.contains(['(', '<', ':']) => front,
        _ => name,
    };
    let name = strip_hash(name);
    let mut out = String::new();
    let mut depth = 0_u32;
    let mut chars = name.chars().peekable();
    // A Rust path in angle brackets, `<a::B as c::D>::f`, is a name and not an argument list: it becomes `B::f`.
    if name.starts_with('<')
        && let Some((front, rest)) = split_path(name)
    {
        let kind = front.split(" as ").next().unwrap_or(front);
        return format!("{}::{}", last_part(&bare(kind)), bare(rest));
    }
    while let Some(c) = chars.next() {
        match c {
            '<' | '(' => depth += 1,
            // `{lambda(int)#1}` and `operator()` aside, what follows the arguments is of no interest.
            '>' | ')' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => out.clear(),
            _ if depth == 0 => out.push(c),
            _ => {}
        }
        if c == ')' && depth == 0 && chars.peek() != Some(&':') {
            break;
        }
    }
    // `apply::<F>` leaves a separator behind.
    out.trim_end_matches("::").to_owned()
}

/// Whether two tools mean the same function. Spaces, clone suffixes, Rust's hashes and result types may differ; template
/// arguments and parameters may not, where both give them.
pub fn same(one: &str, other: &str) -> bool {
    let (one, other) = (canonical(one), canonical(other));
    if one == other {
        return true;
    }
    // Only one of them has a result type.
    let (long, short) = if one.len() > other.len() {
        (&one, &other)
    } else {
        (&other, &one)
    };
    long.ends_with(short.as_str()) && long[..long.len() - short.len()].ends_with(' ')
}

fn canonical(name: &str) -> String {
    // What the symbol table says of Go's assembly functions, and Go's own table does not.
    let name = unversioned(name);
    let name = strip_disambiguators(name.strip_suffix(".abi0").unwrap_or(name));
    let name = strip_hash(&name)
        .replace(" >", ">")
        .replace(", ", ",")
        .replace("::<", "<")
        // What separates frames in folded stacks stands in no name there.
        .replace(';', ":");
    name.replace("[clone ", "[")
        .split(" [")
        .next()
        .unwrap_or(&name)
        .trim()
        .to_owned()
}

/// `clone@@GLIBC_2.2.5` without the version. A stub, `clone@plt`, is another function than `clone`.
pub fn unversioned(name: &str) -> &str {
    match name.split_once('@') {
        Some((front, "plt")) => &name[..front.len() + "@plt".len()],
        Some((front, _)) => front,
        None => name,
    }
}

/// Without `::h0123456789abcdef`.
fn strip_hash(name: &str) -> &str {
    match name.rsplit_once("::h") {
        Some((front, hash))
            if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
        {
            front
        }
        _ => name,
    }
}

/// `std[e28293b1aa0f68bd]::sys` without what tells two crates of one name apart.
fn strip_disambiguators(name: &str) -> String {
    let mut parts = name.split('[');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((hash, rest))
                if hash.len() >= 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                out += rest;
            }
            _ => out += &format!("[{part}"),
        }
    }
    out
}

/// Splits `<path>::rest` where the first bracket closes.
fn split_path(name: &str) -> Option<(&str, &str)> {
    let mut depth = 0_u32;
    for (at, c) in name.char_indices() {
        match c {
            '<' => depth += 1,
            '>' => {
                depth -= 1;
                if depth == 0 {
                    return Some((&name[1..at], name[at + 1..].strip_prefix("::")?));
                }
            }
            _ => {}
        }
    }
    None
}

fn last_part(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names() {
        for (name, expected) in [
            ("main", "main"),
            ("leaf.constprop.0", "leaf"),
            (
                "unsigned long lib::descend<3>(lib::Thrower&, int, bool)",
                "lib::descend",
            ),
            (
                "lib::Thrower::raise(int) [clone .cold]",
                "lib::Thrower::raise",
            ),
            ("app::run(lib::Thrower&)", "app::run"),
            ("<mixed::Square as mixed::Shape>::area", "Square::area"),
            ("mixed::run::{{closure}}", "mixed::run::{{closure}}"),
            ("mixed::leaf::h0123456789abcdef", "mixed::leaf"),
            ("mixed::apply<mixed::run::{{closure}}>", "mixed::apply"),
            ("__libc_start_main", "__libc_start_main"),
        ] {
            assert_eq!(bare(name), expected, "{name}");
        }
    }

    #[test]
    fn sameness() {
        assert!(same("clone@@GLIBC_2.2.5", "clone"));
        assert!(same("unsigned long f<3>(int, bool)", "f<3>(int,bool)"));
        assert!(same("a::b::h0123456789abcdef", "a::b"));
        assert!(same("<std[e28293b1aa0f68bd]::T>::new", "<std::T>::new"));
        assert!(same("runtime.mstart", "runtime.mstart.abi0"));
        assert!(!same("f<[u8; 2]>", "f<>"));
        assert!(!same("f<3>(int)", "f<2>(int)"));
        assert!(!same("leaf", "other_leaf"));
        assert!(same("clone@plt", "clone@plt") && !same("clone@plt", "clone@@V1"));
    }
}
