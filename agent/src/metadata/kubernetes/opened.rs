//! A client that tells when a watch is open. kube resumes one without a word, and on a quiet node it
//! may be hours until the next event.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use tokio::sync::Notify;
use tower_service::Service;

pub fn telling(client: Client, opened: &Arc<Notify>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let telling = Telling {
        client,
        opened: Arc::clone(opened),
    };
    Client::new(telling, namespace)
}

struct Telling {
    client: Client,
    opened: Arc<Notify>,
}

impl Service<Request<Body>> for Telling {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, kube::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        // The client within waits by itself.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (client, opened) = (self.client.clone(), Arc::clone(&self.opened));
        Box::pin(async move {
            let query = request.uri().query().unwrap_or_default();
            let is_watch = query.split('&').any(|pair| pair == "watch=true");
            let response = client.send(request).await?;
            if is_watch && response.status().is_success() {
                opened.notify_one();
            }
            Ok(response)
        })
    }
}
