//! Lists as streams: each page is fetched when it is needed, by a call with its own deadline.

use futures_util::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use stockade_proto as pb;

use super::{Error, Stockade};

/// A page: its entries, and the token of the next page.
type Page<T> = (Vec<T>, String);

impl Stockade {
    /// All matching holds, from the request's page on. `page_size` is how many are fetched at once.
    ///
    /// Ends after the first error.
    pub fn holds(&self, request: pb::ListHoldsRequest) -> BoxStream<'static, Result<pb::Hold, Error>> {
        let client = self.clone();
        pages(request.page_token.clone(), move |page_token| {
            let (client, request) = (client.clone(), pb::ListHoldsRequest { page_token, ..request.clone() });
            async move {
                let page = client.list_holds(request).await?;
                Ok((page.holds, page.next_page_token))
            }
        })
    }

    /// All matching drops, from the request's page on. `page_size` is how many are fetched at once.
    ///
    /// Ends after the first error.
    pub fn drops(&self, request: pb::ListDropsRequest) -> BoxStream<'static, Result<pb::Drop, Error>> {
        let client = self.clone();
        pages(request.page_token.clone(), move |page_token| {
            let (client, request) = (client.clone(), pb::ListDropsRequest { page_token, ..request.clone() });
            async move {
                let page = client.list_drops(request).await?;
                Ok((page.drops, page.next_page_token))
            }
        })
    }
}

fn pages<T, F>(
    first: String,
    fetch: impl Fn(String) -> F + Send + Sync + 'static,
) -> BoxStream<'static, Result<T, Error>>
where
    T: Send + 'static,
    F: Future<Output = Result<Page<T>, Error>> + Send + 'static,
{
    let fetched = stream::try_unfold((Some(first), fetch), |(token, fetch)| async move {
        let Some(token) = token else { return Ok(None) };
        let (page, next) = fetch(token.clone()).await?;
        if !next.is_empty() && next == token {
            return Err(Error::Malformed("a page is its own next page"));
        }
        Ok(Some((page, ((!next.is_empty()).then_some(next), fetch))))
    });
    fetched.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten().boxed()
}
