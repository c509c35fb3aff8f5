//! Tests against real interpreters, and against hostile input.

mod interpreters;
mod lines_oracle;
mod live;
mod target;
