//! The server of a configuration, and who is asking.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use longhaul::ModelSource;
use longhaul::state::protocol::{Config, ProviderConfig, TimeoutsMs};
use longhaul::transport::auth::{ApiKey, Login, LoginOptions};
use longhaul::transport::exchange::{Exchange, ReqwestExchange};
use longhaul::transport::provider::Profile;
use longhaul::transport::{
    Deadlines, Model, Provider, ProviderError, ResponsesClient, RetryPolicy, Secret,
};

/// The model that `config` asks for.
///
/// # Errors
///
/// One sentence that names the key at fault.
pub(crate) fn source(config: &Config) -> Result<ModelSource, String> {
    let mut provider = provider(&config.provider)?;
    provider.max_event_bytes = config.max_event_bytes;
    let exchange = ReqwestExchange::new(provider.deadlines.connect)
        .map_err(|e| format!("HTTP client: {e}"))?;
    let exchange: Arc<dyn Exchange> = Arc::new(exchange);
    let login = config.auth_file.as_deref().filter(|_| uses_login(&config.provider));
    if let Some(path) = login {
        let login = open(path, config.token_endpoint.as_deref(), &provider, &exchange)?;
        provider = provider.with_auth(login);
    } else {
        // Whoever wrote the address into the configuration knows the way to it; a login is stricter.
        provider.allow_plain_http = true;
        match api_key(&config.provider)? {
            Some(key) => provider = provider.with_auth(ApiKey(key)),
            None if wants_login(&config.provider) => {
                let name = name(&config.provider);
                return Err(format!(
                    "`provider`: `{name}` needs a stored login in `auth_file`, \
                     or a key in `provider.api_key_env`"
                ));
            }
            None => {}
        }
    }
    let model: Arc<dyn Model> = Arc::new(ResponsesClient::with_exchange(provider, exchange));
    Ok(model.into())
}

/// Whether the provider takes stored logins.
pub(crate) fn takes_login(config: &ProviderConfig) -> bool {
    profile(config).takes_login
}

/// Whether the provider has an address of its own, and nothing but a login to get in.
fn wants_login(config: &ProviderConfig) -> bool {
    takes_login(config) && profile(config).key_variable.is_none() && config.base_url.is_none()
}

/// A key that is named by its variable comes first.
pub(crate) fn uses_login(config: &ProviderConfig) -> bool {
    takes_login(config) && config.api_key_env.is_none()
}

fn name(config: &ProviderConfig) -> &str {
    config.name.as_deref().unwrap_or("openai")
}

fn profile(config: &ProviderConfig) -> &'static Profile {
    Profile::of(name(config))
}

fn provider(config: &ProviderConfig) -> Result<Provider, String> {
    let named = Provider::named(name(config), config.base_url.as_deref());
    let mut provider = named.map_err(|e| format!("`provider`: {e}"))?;
    provider.query.clone_from(&config.query_params);
    add_headers(config, &mut provider).map_err(|e| format!("`provider`: {e}"))?;
    let retry = RetryPolicy::default();
    provider.retry = RetryPolicy::new(
        config.request_max_retries.unwrap_or(retry.request_max_retries),
        config.stream_max_retries.unwrap_or(retry.stream_max_retries),
    );
    provider.deadlines = deadlines(config.timeouts_ms);
    Ok(provider)
}

fn add_headers(config: &ProviderConfig, provider: &mut Provider) -> Result<(), ProviderError> {
    provider.add_profile_env_headers()?;
    for (name, value) in &config.http_headers {
        provider.add_header(name, value, true)?;
    }
    for (name, variable) in &config.env_http_headers {
        provider.add_env_header(name, variable)?;
    }
    Ok(())
}

fn open(
    path: &Path,
    token_endpoint: Option<&str>,
    provider: &Provider,
    exchange: &Arc<dyn Exchange>,
) -> Result<Login, String> {
    let mut options = LoginOptions::default();
    if let Some(url) = token_endpoint {
        options.token_endpoint = url.parse().map_err(|e| format!("`token_endpoint`: {e}"))?;
    }
    let login = Login::open(path, provider, Arc::clone(exchange), options);
    login.map_err(|e| format!("`auth_file`: {e}"))
}

/// The key: from the variable that is named, which must hold one; else from the profile's, which
/// a server of one's own may do without.
fn api_key(config: &ProviderConfig) -> Result<Option<Secret>, String> {
    let Some(variable) = config.api_key_env.as_deref().or(profile(config).key_variable) else {
        return Ok(None);
    };
    let key = std::env::var(variable).ok().map(Secret::new).filter(|key| !key.is_empty());
    let may_be_missing = config.api_key_env.is_none() && config.base_url.is_some();
    if key.is_none() && !may_be_missing {
        return Err(format!(
            "environment variable {variable} is not set: put the API key into it, \
             or name another in `provider.api_key_env`"
        ));
    }
    Ok(key)
}

fn deadlines(config: TimeoutsMs) -> Deadlines {
    let mut deadlines = Deadlines::default();
    let set = |deadline: &mut Duration, limit: Option<u64>| {
        if let Some(limit) = limit {
            *deadline = Duration::from_millis(limit);
        }
    };
    set(&mut deadlines.connect, config.connect);
    set(&mut deadlines.send, config.send);
    set(&mut deadlines.headers, config.headers);
    set(&mut deadlines.first_event, config.first_event);
    set(&mut deadlines.idle, config.idle);
    deadlines
}
