use std::{io, net::Ipv4Addr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{tcp::ReadHalf, tcp::WriteHalf, TcpListener, TcpSocket, TcpStream, UdpSocket};

const BUFFER: usize = 65536;

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

/// `copy_bidirectional` has buffers of 8 KiB, which floods are slower with.
async fn pump(mut reader: ReadHalf<'_>, mut writer: WriteHalf<'_>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return writer.shutdown().await;
        }
        writer.write_all(&buffer[..count]).await?;
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
    let mut buffer = vec![0; BUFFER];
    loop {
        let (count, sender) = socket.recv_from(&mut buffer).await?;
        socket.send_to(&buffer[..count], sender).await?;
    }
}
