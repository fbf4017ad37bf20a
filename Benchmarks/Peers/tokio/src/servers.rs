use std::task::{ready, Context, Poll};
use std::{cell::RefCell, future::poll_fn, io, net::Ipv4Addr, pin::Pin};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::{tcp::ReadHalf, tcp::WriteHalf, TcpListener, TcpSocket, TcpStream, UdpSocket};

const BUFFER_SIZE: usize = 65536;

/// `TcpListener::bind` has a backlog of 1024 only.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind((Ipv4Addr::LOCALHOST, port).into())?;
    socket.listen(4096)
}

pub async fn echo(port: u16) -> io::Result<()> {
    let listener = listen(port)?;
    println!("ready");
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let (reader, writer) = stream.split();
            pump(reader, writer).await
        });
    }
}

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER_SIZE]);
}

/// Not `copy_bidirectional`, whose buffers are of 8 KiB for each connection: one of 64 KiB for all, lent while a socket is
/// ready. Only what the other side does not take at once has memory of its own.
async fn pump(mut reader: ReadHalf<'_>, mut writer: WriteHalf<'_>) -> io::Result<()> {
    loop {
        let mut read_and_write = |context: &mut Context<'_>, shared: &mut [u8]| {
            let mut buffer = ReadBuf::new(shared);
            ready!(Pin::new(&mut reader).poll_read(context, &mut buffer))?;
            let bytes = buffer.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(None));
            }
            let written = match writer.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                result => result?,
            };
            Poll::Ready(io::Result::Ok(Some(bytes[written..].to_vec())))
        };
        let passed = poll_fn(|context| BUFFER.with(|shared| read_and_write(context, &mut shared.borrow_mut()))).await?;
        match passed {
            Some(rest) => writer.write_all(&rest).await?,
            None => return writer.shutdown().await,
        }
    }
}

pub async fn proxy(port: u16, target: u16) -> io::Result<()> {
    let listener = listen(port)?;
    println!("ready");
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            client.set_nodelay(true)?;
            let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await?;
            server.set_nodelay(true)?;
            let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
            tokio::try_join!(pump(from_client, to_server), pump(from_server, to_client))
        });
    }
}

pub async fn udp(port: u16) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await?;
    println!("ready");
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        let (count, sender) = socket.recv_from(&mut buffer).await?;
        socket.send_to(&buffer[..count], sender).await?;
    }
}
