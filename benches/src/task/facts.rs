//! What must not be lost. Each phrase stands once in the conversation.

/// Items that the host pins.
pub const PINNED: [&str; 4] = [
    "the release branch is frozen from the ninth on",
    "every commit has to name ticket LX-4471",
    "the customer runs this on a machine with 2 GB of memory",
    "nobody but Ingrid may approve a change of the file format",
];

/// What the user wants, in the middle of what else is said.
pub const CONSTRAINTS: [&str; 20] = [
    "never touch the vendored parser in third_party/lex",
    "the public name of the reader stays OpenArchive",
    "no new dependency without asking me",
    "the config file must stay readable by version 3.2",
    "error texts are in British English",
    "do not log the contents of any packet",
    "the build has to work without network access",
    "use tabs in the makefiles under ports/qnx",
    "timeouts are given in milliseconds everywhere",
    "keep the old flag --no-rotate as an alias",
    "never run the migration against the staging database",
    "all hashes are blake3 from now on",
    "the worker count must not go above six",
    "leave the copyright lines of Halvorsen alone",
    "tests may not write outside of scratch/",
    "the importer must accept files with a byte order mark",
    "please do not squash my commits",
    "the gauge is called spool_depth in every dashboard",
    "retries stop after the fourth attempt",
    "do not rename the columns of table ledger_lines",
];

/// What tools find out.
pub const TOOL_FACTS: [&str; 10] = [
    "the pool deadlocks with exactly 37 open cursors",
    "segment 0x5c1e is written twice at shutdown",
    "the leak is in frame_pool.rs at line 412",
    "glibc 2.31 lacks the symbol that pidwatch wants",
    "test replay_gap fails only with TZ=Asia/Kathmandu",
    "the index is rebuilt because its header says version 0",
    "fsync takes 180 ms on the second volume",
    "the certificate in fixtures/tls has expired",
    "the benchmark spends 61 percent in sift_down",
    "port 7443 is taken by the license daemon",
];

/// What the assistant decides.
pub const DECISIONS: [&str; 6] = [
    "I keep the arena allocator and drop the slab",
    "I read the journal backwards from its last marker",
    "I split the lock by shard and not by tenant",
    "I leave the cache cold at start and warm it lazily",
    "I move the checksum into the trailer of each block",
    "I treat a missing peer as busy for one second",
];

/// How many of `phrases` stand in `text`.
pub fn count(phrases: &[&str], text: &str) -> usize {
    phrases.iter().filter(|phrase| text.contains(**phrase)).count()
}
