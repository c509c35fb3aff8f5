//! Names as people write them: Rust and C++ symbols demangled.

use std::fmt::{self, Write};

/// Longest mangled name that is looked at, and longest result. A few bytes of mangled name may
/// stand for gigabytes.
const MANGLED_LIMIT: usize = 32 << 10;
const DEMANGLED_LIMIT: usize = 8 << 10;
const RECURSION_LIMIT: u32 = 96;

/// Demangles a symbol's name; gives it back where it is not mangled, or longer than a name may be.
pub fn demangle(name: &str) -> String {
    if name.len() <= MANGLED_LIMIT
        && let Some(demangled) = rust(name).or_else(|| cpp(name))
    {
        return demangled;
    }
    name.to_owned()
}

/// Rust's legacy names look like C++ ones with a hash at their end, which is left out.
fn rust(name: &str) -> Option<String> {
    let demangled = rustc_demangle::try_demangle(name).ok()?;
    let mut text = Bounded::default();
    write!(text, "{demangled:#}").ok()?;
    Some(text.0)
}

fn cpp(name: &str) -> Option<String> {
    if !name.starts_with("_Z") && !name.starts_with("___Z") {
        return None;
    }
    let parse = cpp_demangle::ParseOptions::default().recursion_limit(RECURSION_LIMIT);
    let symbol = cpp_demangle::Symbol::new_with_options(name, &parse).ok()?;
    let write = cpp_demangle::DemangleOptions::new().recursion_limit(RECURSION_LIMIT);
    let mut text = Bounded::default();
    symbol.structured_demangle(&mut text, &write).ok()?;
    Some(without_empty_packs(&text.0))
}

/// cpp_demangle 0.5 writes an empty parameter pack as an argument of its own, without a type:
/// `f<int, >(int*, &&)`, `f<int, >(&&)`. No name has such arguments otherwise: in `int (&) [3]`
/// there is a space.
fn without_empty_packs(name: &str) -> String {
    let mut kept = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '>' | ')') {
            while let Some(length) = before_empty_pack(&kept) {
                kept.truncate(length);
            }
        }
        kept.push(character);
    }
    kept
}

/// Length of what stands before an empty pack's last argument.
fn before_empty_pack(kept: &str) -> Option<usize> {
    let unreferenced = kept.trim_end_matches('&');
    if kept.len() - unreferenced.len() > 2 {
        return None;
    }
    let only = |list: &&str| {
        let called = list
            .strip_suffix('(')
            .and_then(|name| name.chars().next_back());
        kept.ends_with('&') && called.is_some_and(|last| last == '>' || last.is_alphanumeric())
    };
    let rest = unreferenced.strip_suffix(", ");
    rest.or(Some(unreferenced).filter(only)).map(str::len)
}

/// Text that refuses to grow past the limit.
#[derive(Default)]
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > DEMANGLED_LIMIT {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_each_language() {
        let pairs = [
            ("main", "main"),
            ("_start", "_start"),
            (
                "_ZNSt6vectorIiSaIiEE9push_backEOi",
                "std::vector<int, std::allocator<int> >::push_back(int&&)",
            ),
            (
                "_ZN4core3fmt9Formatter3pad17h0123456789abcdefE",
                "core::fmt::Formatter::pad",
            ),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            // As c++filt writes it.
            (
                "_ZSt10_ConstructImJEEvPT_DpOT0_",
                "void std::_Construct<unsigned long>(unsigned long*)",
            ),
            ("_Z4makeIiJEEvDpOT0_", "void make<int>()"),
            ("_ZN1AcmIiEEvT_", "void A::operator,<int>(int)"),
            ("_Z4fillIiEvRA3_T_", "void fill<int>(int (&) [3])"),
            ("_Z4fillIiEvOFvT_E", "void fill<int>(void (&&)(int))"),
            ("_Z3foov.cold", "foo() [clone .cold]"),
            ("_Z", "_Z"),
        ];
        for (mangled, demangled) in pairs {
            assert_eq!(demangle(mangled), demangled);
        }
    }

    #[test]
    fn names_that_explode_stay_as_they_are() {
        // Each S_ doubles the type.
        let mut name = String::from("_Z1fSt4pairIiiE");
        for round in 0..40 {
            name.push_str(&format!(
                "St4pairIS{0}_S{0}_E",
                ["", "0", "1", "2"][round % 4]
            ));
        }
        assert!(demangle(&name).len() <= DEMANGLED_LIMIT.max(name.len()));
        let deep = format!("_Z1f{}i", "P".repeat(20_000));
        assert_eq!(demangle(&deep), deep);
        let long = "_Z".repeat(MANGLED_LIMIT);
        assert_eq!(demangle(&long), long);
        let nested = format!("_R{}", "B_".repeat(1000));
        demangle(&nested);
    }
}
