package main

import (
	"fmt"
	"io"
	"net"
)

const bufferSize = 65536

// Go's listeners have the system's longest backlog, SO_REUSEADDR and TCP_NODELAY already.
func listen(port int, serve func(*net.TCPConn)) {
	listener := must(net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}))
	fmt.Println("ready")
	for {
		if client, err := listener.AcceptTCP(); err == nil {
			go serve(client)
		}
	}
}

// Not io.Copy, which would have the kernel splice floods: an echo stands for servers that see what they answer.
func echo(port int) {
	listen(port, func(client *net.TCPConn) {
		defer client.Close()
		// A goroutine that waits holds its buffer: it is small until more arrives.
		buffer := make([]byte, 4096)
		for {
			count, err := client.Read(buffer)
			if err != nil {
				return
			}
			if _, err = client.Write(buffer[:count]); err != nil {
				return
			}
			if count == len(buffer) && count < bufferSize {
				buffer = make([]byte, 2*count)
			}
		}
	})
}

func proxy(port int, target int) {
	listen(port, func(client *net.TCPConn) {
		defer client.Close()
		server, err := net.DialTCP("tcp4", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: target})
		if err != nil {
			return
		}
		defer server.Close()
		done := make(chan struct{})
		go func() {
			pass(server, client)
			close(done)
		}()
		pass(client, server)
		<-done
	})
}

// io.Copy between two sockets is splice(2).
func pass(to, from *net.TCPConn) {
	if _, err := io.Copy(to, from); err != nil {
		from.CloseRead()
	}
	to.CloseWrite()
}

func udp(port int) {
	socket := must(net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}))
	fmt.Println("ready")
	buffer := make([]byte, bufferSize)
	for {
		// The AddrPort variants allocate nothing.
		if count, sender, err := socket.ReadFromUDPAddrPort(buffer); err == nil {
			socket.WriteToUDPAddrPort(buffer[:count], sender)
		}
	}
}
