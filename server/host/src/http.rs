//! A thread that serves HTTP: the admin interface has one, and so has the web
//! app. It never touches a shard but by posts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use axum::Router;
use tokio::sync::oneshot;

/// A running one; dropping it ends it.
pub(crate) struct HttpServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Serves `routes` on an already bound `listener` and no more than so
    /// many connections at once; others wait in the kernel.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub(crate) fn start(
        name: &'static str,
        listener: TcpListener,
        connections_max: usize,
        routes: Router,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread =
            std::thread::Builder::new().name(format!("hongyan-{name}")).spawn(move || {
                let served = runtime.block_on(async {
                    let listener = tokio::net::TcpListener::from_std(listener)?;
                    let listener = bounded::Bounded::new(listener, connections_max);
                    tokio::select! {
                        served = async { axum::serve(listener, routes).await } => served,
                        _ = stopped => Ok(()),
                    }
                });
                if let Err(error) = served {
                    tracing::error!(%error, name, "an HTTP server has stopped");
                }
            })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("an HTTP thread had panicked");
        }
    }
}

/// A listener that lets a bounded number in.
mod bounded {
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use axum::serve::Listener;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{OwnedSemaphorePermit, Semaphore};

    pub(super) struct Bounded {
        listener: TcpListener,
        places: Arc<Semaphore>,
    }

    impl Bounded {
        pub(super) fn new(listener: TcpListener, connections_max: usize) -> Self {
            Self { listener, places: Arc::new(Semaphore::new(connections_max)) }
        }
    }

    impl Listener for Bounded {
        type Io = Placed;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (Placed, SocketAddr) {
            // Never closed; without a place nobody would be counted, no more.
            let place = self.places.clone().acquire_owned().await.ok();
            let (stream, address) = Listener::accept(&mut self.listener).await;
            (Placed { stream, _place: place }, address)
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            self.listener.local_addr()
        }
    }

    /// A connection and its place, which it gives back at its end.
    pub(super) struct Placed {
        stream: TcpStream,
        _place: Option<OwnedSemaphorePermit>,
    }

    impl AsyncRead for Placed {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(cx, into)
        }
    }

    impl AsyncWrite for Placed {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }
}
