//! What a user says.

use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use longhaul_history::turn_item::UserPart;
use longhaul_history::{ContentPart, Item, Role};
use longhaul_state::protocol::{InputPart, SettingsUpdate, TurnError, UserTurn};
use serde_json::Value;

use crate::task::SessionTask;

/// The largest image file that is sent, in bytes.
pub const MAX_IMAGE_BYTES: u64 = 20 * 1024 * 1024;

/// What a user says, and what it changes.
///
/// ```
/// use longhaul::Input;
///
/// let input = Input::from("What is in this picture?").image("https://example.com/cat.png");
/// ```
#[derive(Clone, Default)]
pub struct Input {
    pub(crate) id: Option<String>,
    pub(crate) task: Option<Arc<dyn SessionTask>>,
    pub(crate) parts: Vec<InputPart>,
    pub(crate) output_schema: Option<Value>,
    pub(crate) settings: SettingsUpdate,
}

impl Input {
    /// Adds a text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.parts.push(InputPart::Text { text: text.into() });
        self
    }

    /// Adds an image: an `http(s):` address or a `data:image/…;base64,` URL.
    #[must_use]
    pub fn image(mut self, image_url: impl Into<String>) -> Self {
        let image_url = image_url.into();
        self.parts.push(InputPart::Image { image_url });
        self
    }

    /// Adds an image in a file. If it cannot be read, the model is told so in its place.
    #[must_use]
    pub fn local_image(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.parts.push(InputPart::LocalImage { path: path.into() });
        self
    }

    /// A JSON schema that the final message has to follow, sent as it is; that of a type, as strict
    /// servers take it, comes from [`output`](crate::output). It holds from the next request of the
    /// turn that takes the input to its end.
    #[must_use]
    pub fn output_schema(mut self, schema: Value) -> Self {
        self.output_schema = Some(schema);
        self
    }

    /// Changes the session's settings when the turn begins; they stay for later turns.
    #[must_use]
    pub fn settings(mut self, settings: SettingsUpdate) -> Self {
        self.settings = settings;
        self
    }

    /// What the turn that this input starts does, in place of the regular turn. An input that steers
    /// a running turn changes nothing of what that does.
    #[must_use]
    pub fn task(mut self, task: impl SessionTask + 'static) -> Self {
        self.task = Some(Arc::new(task));
        self
    }

    /// The id under which events speak of this input. Default: a new one.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Whether it can be sent at all.
    pub(crate) fn check(&self) -> Result<(), TurnError> {
        if self.parts.is_empty() {
            return Err(TurnError::InvalidInput("`items` is empty: say something".into()));
        }
        for (index, part) in self.parts.iter().enumerate() {
            if let InputPart::Image { image_url } = part
                && let Err(problem) = check_image_url(image_url)
            {
                let message = format!("`items[{index}].image_url`: {problem}");
                return Err(TurnError::InvalidInput(message));
            }
        }
        Ok(())
    }

    /// The message for the model and for those who watch. Reads files.
    pub(crate) async fn into_message(self, item_id: &str) -> Message {
        let mut content = Vec::with_capacity(self.parts.len());
        let mut shown = Vec::with_capacity(self.parts.len());
        for part in self.parts {
            let part = match part {
                InputPart::Text { text } => UserPart::Text { text },
                InputPart::Image { image_url } => UserPart::Image { image_url },
                InputPart::LocalImage { path } => read_image(path).await,
                _ => continue,
            };
            content.push(match &part {
                UserPart::Image { image_url } => {
                    ContentPart::InputImage { image_url: image_url.clone() }
                }
                part => ContentPart::InputText { text: part.text().unwrap_or_default().to_owned() },
            });
            shown.push(part);
        }
        Message { item: Item::message_with_id(item_id, Role::User, &content), shown }
    }
}

/// A message of the user.
pub(crate) struct Message {
    pub(crate) item: Item,
    pub(crate) shown: Vec<UserPart>,
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        Self::default().text(text)
    }
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        Self::default().text(text)
    }
}

impl From<Vec<InputPart>> for Input {
    fn from(parts: Vec<InputPart>) -> Self {
        Self { parts, ..Self::default() }
    }
}

impl From<UserTurn> for Input {
    fn from(turn: UserTurn) -> Self {
        Self {
            settings: turn.settings(),
            parts: turn.items,
            output_schema: turn.final_output_json_schema,
            ..Self::default()
        }
    }
}

/// A bad image would stay in the conversation and fail every later request, so it is refused
/// before it is recorded.
fn check_image_url(url: &str) -> Result<(), &'static str> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(());
    }
    let Some(data) = url.strip_prefix("data:") else {
        return Err("give an http(s): address or a data: URL");
    };
    let Some((media_type, payload)) = data.split_once(";base64,") else {
        return Err("a data: URL must be base64: `data:image/png;base64,…`");
    };
    if !media_type.starts_with("image/") {
        return Err("the data: URL is not of an image type: `data:image/png;base64,…`");
    }
    match STANDARD.decode(payload) {
        Ok(bytes) if bytes.is_empty() => Err("the image is empty"),
        Ok(_) => Ok(()),
        Err(_) => Err("the image is not valid base64"),
    }
}

/// The image in a file as a `data:` URL, or a text that says why there is none.
async fn read_image(path: std::path::PathBuf) -> UserPart {
    let name = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || image_url(&path)).await;
    let image_url = read.unwrap_or_else(|e| Err(e.to_string()));
    match image_url {
        Ok(image_url) => UserPart::Image { image_url },
        Err(problem) => {
            UserPart::Text { text: format!("[the image {name} could not be read: {problem}]") }
        }
    }
}

fn image_url(path: &Path) -> Result<String, String> {
    let facts = std::fs::metadata(path).map_err(|e| e.to_string())?;
    if !facts.is_file() {
        return Err("it is not a file".into());
    }
    if facts.len() > MAX_IMAGE_BYTES {
        return Err(format!("it is larger than {MAX_IMAGE_BYTES} bytes"));
    }
    let bytes = std::fs::read(path).map_err(|e| e.to_string())?;
    let media_type = media_type(&bytes).ok_or("it is not a PNG, JPEG, GIF or WebP image")?;
    Ok(format!("data:{media_type};base64,{}", STANDARD.encode(bytes)))
}

/// The type of an image, by its first bytes; names of files lie.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xFF, 0xD8, 0xFF, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("id", &self.id)
            .field("parts", &self.parts.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_the_wrong_form_are_refused_in_one_sentence() {
        let table = [
            ("https://example.com/a.png", true),
            ("data:image/png;base64,AAAA", true),
            ("file:///etc/passwd", false),
            ("cat.png", false),
            ("data:image/png,AAAA", false),
            ("data:text/plain;base64,AAAA", false),
            ("data:image/png;base64,????", false),
            ("data:image/png;base64,", false),
        ];
        for (url, accepted) in table {
            let checked = Input::from("look").image(url).check();
            assert_eq!(checked.is_ok(), accepted, "{url}");
            if let Err(error) = checked {
                assert!(error.to_string().starts_with("`items[1].image_url`: "), "{error}");
                assert_eq!(error.code(), "invalid_submission");
            }
        }
        assert!(Input::default().check().is_err());
    }

    #[tokio::test]
    async fn a_file_becomes_an_image_or_a_text_that_says_why_not() {
        let folder = std::env::temp_dir().join(format!("longhaul-input-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (png, text) = (folder.join("a.txt"), folder.join("b.png"));
        std::fs::write(&png, b"\x89PNG\r\n\x1a\n").unwrap();
        std::fs::write(&text, b"no image").unwrap();
        let input = Input::default().local_image(&png).local_image(&text).local_image(&folder);
        let message = input.into_message("msg_1").await;
        assert_eq!(
            message.shown[0],
            UserPart::Image { image_url: "data:image/png;base64,iVBORw0KGgo=".into() }
        );
        let texts: Vec<_> = message.shown[1..].iter().filter_map(UserPart::text).collect();
        assert!(texts[0].contains("b.png") && texts[0].contains("not a PNG"), "{texts:?}");
        assert!(texts[1].contains("not a file"), "{texts:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
