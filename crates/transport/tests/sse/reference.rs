//! The decoder as the HTML standard words it, step by step and slow.
//!
//! Section 9.2.6, "Interpreting an event stream", over the bytes: the marks that it looks for are
//! ASCII, which UTF-8 uses for nothing else.

/// The data of each event that is dispatched.
pub(crate) fn events(stream: &[u8]) -> Vec<Vec<u8>> {
    // "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any."
    let stream = stream.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(stream);
    let mut buffers = Buffers::default();
    for line in lines(stream) {
        buffers.process(&line);
    }
    // "Once the end of the file is reached, any pending data must be discarded."
    buffers.dispatched
}

/// The lines that have an end: CR LF, LF not after CR, or CR not before LF.
fn lines(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    let mut at = 0;
    while at < stream.len() {
        match stream[at] {
            b'\r' if stream.get(at + 1) == Some(&b'\n') => {
                lines.push(std::mem::take(&mut line));
                at += 1;
            }
            b'\r' | b'\n' => lines.push(std::mem::take(&mut line)),
            byte => line.push(byte),
        }
        at += 1;
    }
    lines
}

#[derive(Default)]
struct Buffers {
    data: Vec<u8>,
    event_type: Vec<u8>,
    last_event_id: Vec<u8>,
    dispatched: Vec<Vec<u8>>,
}

impl Buffers {
    fn process(&mut self, line: &[u8]) {
        if line.is_empty() {
            self.dispatch();
        } else if line[0] == b':' {
            // "Ignore the line."
        } else if let Some(colon) = line.iter().position(|byte| *byte == b':') {
            let value = &line[colon + 1..];
            let value = if value.first() == Some(&b' ') { &value[1..] } else { value };
            self.field(&line[..colon], value);
        } else {
            self.field(line, b"");
        }
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"event" => self.event_type = value.to_vec(),
            b"data" => {
                self.data.extend(value);
                self.data.push(b'\n');
            }
            b"id" if !value.contains(&0) => self.last_event_id = value.to_vec(),
            // "retry" sets a time that nothing here waits for; "otherwise, the field is ignored".
            _ => {}
        }
    }

    fn dispatch(&mut self) {
        let mut data = std::mem::take(&mut self.data);
        self.event_type.clear();
        if data.is_empty() {
            return;
        }
        if data.last() == Some(&b'\n') {
            data.pop();
        }
        self.dispatched.push(data);
    }
}
