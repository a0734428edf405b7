//! Messages as they come from outside: signed here, signed by others, and broken.

mod manifest;
mod vectors;
