// A server for our client: as http_servers.py has it, with Node's own HTTP.
const http = require("http");
const crypto = require("crypto");

const block = Buffer.from(Array.from({ length: 251 * 4096 }, (_, index) => index % 251));

function get(count, kind, response) {
    if (kind === "length") response.setHeader("Content-Length", count);
    let left = count;
    const more = () => {
        while (left > 0) {
            const piece = left < block.length ? block.subarray(0, left) : block;
            left -= piece.length;
            if (!response.write(piece)) return response.once("drain", more);
        }
        response.end();
    };
    more();
}

function put(request, response) {
    let count = 0;
    const total = crypto.createHash("sha256");
    request.on("data", (piece) => {
        count += piece.length;
        total.update(piece);
    });
    request.on("end", () => response.end(`${count} ${total.digest("hex")}`));
}

const server = http.createServer((request, response) => {
    const [, kind, count] = request.url.split("/");
    if (request.method === "PUT") put(request, response);
    else get(Number(count), kind, response);
});
server.requestTimeout = 0;
server.listen(0, "127.0.0.1", () => console.log("port " + server.address().port));
