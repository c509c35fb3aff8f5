//! placeholder
pub fn is_internal(_name: &str) -> bool {
    false
}
