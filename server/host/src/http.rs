//! A thread that serves HTTP: the admin interface has one, and so has the web
//! app. It never touches a shard but by posts.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;
use std::time::Duration;

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
    /// many connections at once; others wait in the kernel. With `idle_max` a
    /// connection ends on which nothing moves for so long, so that browsers,
    /// which keep theirs for minutes, leave room for others.
    ///
    /// # Errors
    /// When the thread or its runtime cannot be made.
    pub(crate) fn start(
        name: &'static str,
        listener: TcpListener,
        connections_max: usize,
        idle_max: Option<Duration>,
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
                    let listener = bounded::Bounded::new(listener, connections_max, idle_max);
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

/// A listener that lets a bounded number in, and sees off who does nothing.
mod bounded {
    use std::future::Future;
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;

    use axum::serve::Listener;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::{OwnedSemaphorePermit, Semaphore};
    use tokio::time::{Instant, Sleep};

    pub(super) struct Bounded {
        listener: TcpListener,
        places: Arc<Semaphore>,
        idle_max: Option<Duration>,
    }

    impl Bounded {
        pub(super) fn new(
            listener: TcpListener,
            connections_max: usize,
            idle_max: Option<Duration>,
        ) -> Self {
            Self { listener, places: Arc::new(Semaphore::new(connections_max)), idle_max }
        }
    }

    impl Listener for Bounded {
        type Io = Placed;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (Placed, SocketAddr) {
            // Never closed; without a place nobody would be counted, no more.
            let place = self.places.clone().acquire_owned().await.ok();
            let (stream, address) = Listener::accept(&mut self.listener).await;
            let idle = self.idle_max.map(Idle::new);
            (Placed { stream, idle, _place: place }, address)
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            self.listener.local_addr()
        }
    }

    /// How long nothing has moved.
    struct Idle {
        most: Duration,
        until: Pin<Box<Sleep>>,
    }

    impl Idle {
        fn new(most: Duration) -> Self {
            Self { most, until: Box::pin(tokio::time::sleep(most)) }
        }

        fn begin_again(&mut self) {
            self.until.as_mut().reset(Instant::now() + self.most);
        }
    }

    /// A connection and its place, which it gives back at its end.
    pub(super) struct Placed {
        stream: TcpStream,
        idle: Option<Idle>,
        _place: Option<OwnedSemaphorePermit>,
    }

    impl Placed {
        fn moved<T>(&mut self, result: T) -> Poll<T> {
            if let Some(idle) = &mut self.idle {
                idle.begin_again();
            }
            Poll::Ready(result)
        }
    }

    impl AsyncRead for Placed {
        /// Says that the peer is done when nothing has moved for too long.
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, into) {
                return self.moved(read);
            }
            match &mut self.idle {
                Some(idle) => idle.until.as_mut().poll(cx).map(Ok),
                None => Poll::Pending,
            }
        }
    }

    impl AsyncWrite for Placed {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
            self.moved(written)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_shutdown(cx)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use axum::routing::get;

    use super::*;

    fn ask(stream: &mut TcpStream) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").expect("it takes a request");
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).expect("it answers");
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[test]
    fn who_does_nothing_leaves_their_place_to_others() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let routes = Router::new().route("/", get(|| async { "hello" }));
        let idle_max = Some(Duration::from_millis(50));
        let server = HttpServer::start("test", listener, 1, idle_max, routes).expect("it starts");
        let mut kept = TcpStream::connect(server.address()).expect("the first comes in");
        assert_eq!(ask(&mut kept), "HTTP/1.1 200 OK");
        let mut next = TcpStream::connect(server.address()).expect("the kernel takes it");
        assert_eq!(ask(&mut next), "HTTP/1.1 200 OK");
        let mut rest = Vec::new();
        kept.read_to_end(&mut rest).expect("the first was closed in order");
        assert!(rest.ends_with(b"hello"));
    }
}
