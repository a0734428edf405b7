//! The cases. Each boots machines of its own; a failed one leaves their consoles and logs in
//! `build/networks/<case>`.

mod devnet;
mod duties;
mod refusals;
mod spine;

use aleph_devnet::Layout;
use aleph_qemu_tests::Paths;

/// What a case needs of the build, or a line that says why the case is skipped.
fn paths(image: &str, name: &str) -> Option<(Layout, Paths)> {
    let layout = match Layout::find() {
        Ok(layout) => layout,
        Err(error) => return skip(&error.to_string()),
    };
    let paths = Paths::of(&layout, image, name);
    match paths.missing() {
        None => Some((layout, paths)),
        Some(missing) => skip(&missing),
    }
}

fn skip<T>(reason: &str) -> Option<T> {
    println!("skipped: {reason}");
    None
}
