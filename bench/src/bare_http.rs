//! What an axum handler can do at best: the same bytes, from memory.

#[cfg(test)]
use std::net::SocketAddr;

use anyhow::Result;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

fn router(body: Vec<u8>) -> Router {
    let body = axum::body::Bytes::from(body);
    Router::new().route("/users/{id}", get(async move || ([(CONTENT_TYPE, "application/json")], body)))
}

/// Serves until the process is ended. Tells its address on the standard output first.
pub fn serve(body: Vec<u8>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        crate::children::tell(&listener.local_addr()?.to_string());
        axum::serve(listener, router(body)).await?;
        Ok(())
    })
}

/// Serves on threads of this process, as long as the runtime is kept.
#[cfg(test)]
pub fn in_background(body: Vec<u8>) -> Result<(SocketAddr, tokio::runtime::Runtime)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(async { axum::serve(listener, router(body)).await });
    Ok((address, runtime))
}
