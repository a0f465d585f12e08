//! The corpus of the fuzz target, replayed.

#[path = "../../../../fuzz/check/bytes_to_events.rs"]
mod bytes_to_events;

use std::fs;
use std::path::PathBuf;

#[test]
fn the_corpus_of_the_fuzz_target_holds() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let folders = ["../../fuzz/corpus/bytes_to_events", "tests/fixtures", "tests/fixtures/litellm"];
    let files = folders.iter().flat_map(|folder| fs::read_dir(root.join(folder)).unwrap());
    let files = files.map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let files: Vec<PathBuf> = files.collect();
    assert!(files.len() > 40, "{} files", files.len());
    for file in files {
        bytes_to_events::check(&fs::read(file).unwrap());
    }
}
