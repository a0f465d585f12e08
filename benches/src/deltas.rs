//! A stream of small events, as OpenAI's servers send them.

/// The text of delta `index`.
pub fn text(index: usize) -> &'static str {
    ["The", " parser", " keeps", " \"the\"", " text\n"][index % 5]
}

/// So many deltas of one message, and nothing else.
pub fn stream(len: usize) -> String {
    (0..len).map(delta).collect()
}

/// Delta `index`, its fields in the order in which they are sent.
pub fn delta(index: usize) -> String {
    let delta = serde_json::Value::from(text(index));
    // Padding of random length, against those who read lengths.
    let obfuscation = &"q7RzL0bXvK2mTd9w"[index * 7 % 11..];
    format!(
        "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\
         \"sequence_number\":{index},\
         \"item_id\":\"msg_68af2b3f1d0081a1b2c3d4e5f60718290a1b2c3d4e5f6071\",\
         \"output_index\":1,\"content_index\":0,\"delta\":{delta},\"logprobs\":[],\
         \"obfuscation\":\"{obfuscation}\"}}\n\n"
    )
}
