import dgram from "node:dgram";
import net from "node:net";

const host = "127.0.0.1";
const ready = () => console.log("ready");

export function echo(port) {
  const server = net.createServer({ noDelay: true }, (client) => {
    client.on("error", () => client.destroy());
    // What pipe() does, with less around it.
    client.on("data", (bytes) => {
      if (!client.write(bytes)) client.pause();
    });
    client.on("drain", () => client.resume());
  });
  server.listen({ host, port, backlog: 4096 }, ready);
}

export function proxy(port, target) {
  const options = { noDelay: true, allowHalfOpen: true };
  const server = net.createServer(options, (client) => {
    const upstream = net.connect({ host, port: target, ...options });
    for (const [one, other] of [[client, upstream], [upstream, client]]) {
      one.pipe(other);
      one.on("error", () => other.destroy());
      one.on("close", () => other.destroySoon());
    }
  });
  server.listen({ host, port, backlog: 4096 }, ready);
}

export function udp(port) {
  // A sender's address is a number already: nothing is looked up.
  const socket = dgram.createSocket({ type: "udp4", lookup: (name, _, done) => done(null, name, 4) });
  socket.on("message", (bytes, sender) => socket.send(bytes, sender.port, sender.address));
  socket.bind(port, host, ready);
}
