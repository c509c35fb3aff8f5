//! Tests against real interpreters, and against hostile input.

mod broken;
mod fake;
mod files;
mod hostile;
mod interpreters;
mod lines_oracle;
mod live;
mod placing;
mod random;
mod target;
