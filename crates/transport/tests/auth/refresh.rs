//! The refresh, in one process.

use crate::support::*;

#[tokio::test]
async fn f059_an_expiring_token_is_refreshed_once_before_the_call() {
    for seconds in [-HOUR, 0, 1, 299] {
        let folder = Folder::new();
        write_login(&folder.login(), &login_file("acc", &access(0, seconds), 0));
        let issuer = Issuer::start(HOUR).await;
        let login = open(&folder.login(), issuer.options());
        assert_eq!(number(&bearer(&login).await), 1, "{seconds}");
        assert_eq!(number(&bearer(&login).await), 1, "{seconds}");
        assert_eq!(issuer.sent(), [refresh(0)], "{seconds}");
    }
}
