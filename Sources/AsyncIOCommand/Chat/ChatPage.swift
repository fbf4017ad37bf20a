#if HTTP
/// The page that a browser shows for the chat. It fetches nothing from elsewhere.
enum ChatPage {
    /// Scripts and styles are those of the page alone, and it talks to its own server alone.
    static let policy =
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

    static let text = """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>swift-asyncio chat</title>
        <style>
        :root { color-scheme: light dark; --line: #8884; --quiet: #777; --accent: #d9480f; }
        * { box-sizing: border-box; }
        body { margin: 0; height: 100dvh; display: flex; flex-direction: column;
               font: 16px/1.45 system-ui, sans-serif; }
        header { display: flex; gap: .75em; align-items: baseline; padding: .6em 1em;
                 border-bottom: 1px solid var(--line); }
        h1 { font-size: 1.1em; margin: 0; }
        #state { font-size: .9em; color: var(--quiet); }
        #state.on::before { content: "● "; color: #2b8a3e; }
        #state.off::before { content: "● "; color: var(--accent); }
        #lines { flex: 1; overflow-y: auto; padding: .8em 1em; margin: 0; list-style: none; }
        #lines li { margin: .15em 0; overflow-wrap: anywhere; white-space: pre-wrap; }
        #lines li.note { color: var(--quiet); font-size: .92em; }
        #lines li.mine { color: var(--accent); }
        #lines b { font-weight: 600; }
        form { display: flex; gap: .5em; padding: .7em 1em; border-top: 1px solid var(--line); }
        input { flex: 1; min-width: 0; font: inherit; padding: .5em .7em; border: 1px solid var(--line);
                border-radius: .5em; }
        button { font: inherit; padding: .5em 1.1em; border: 0; border-radius: .5em; color: #fff;
                 background: var(--accent); }
        button:disabled { opacity: .5; }
        </style>
        </head>
        <body>
        <header><h1>chat</h1><span id="state" class="off" role="status">connecting</span></header>
        <ul id="lines" aria-live="polite"></ul>
        <form id="form">
        <input id="text" autocomplete="off" maxlength="1000" placeholder="your name" aria-label="your line" autofocus>
        <button id="send" disabled>Send</button>
        </form>
        <script>
        const lines = document.getElementById("lines"), text = document.getElementById("text");
        const state = document.getElementById("state"), send = document.getElementById("send");
        let socket, name = null, wait = 500, asked = false, left = false;

        function show(line, mine) {
            const atEnd = lines.scrollHeight - lines.scrollTop - lines.clientHeight < 40;
            const item = document.createElement("li");
            const said = /^([^\\s:]+)((?: \\(to you alone\\))?): (.*)$/s.exec(line);
            if (mine) item.className = "mine";
            if (line.startsWith("-- ")) { item.className = "note"; item.textContent = line.slice(3); }
            else if (said) {
                const who = document.createElement("b");
                who.textContent = said[1] + said[2];
                item.append(who, "  " + said[3]);
            } else item.textContent = line;
            lines.append(item);
            while (lines.childElementCount > 2000) lines.firstChild.remove();
            if (atEnd) lines.scrollTop = lines.scrollHeight;
        }

        function connect() {
            socket = new WebSocket((location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/chat");
            socket.onopen = () => {
                asked = false;
                state.className = "on"; state.textContent = "connected"; send.disabled = false;
            };
            socket.onmessage = event => {
                const line = event.data;
                if (line === "-- What is your name?" && name && !asked) { asked = true; socket.send(name); return; }
                const here = /^-- You are (?:in #\\S+, )?([^\\s.]+?)(?:\\.| now\\.)/.exec(line);
                if (here) { name = here[1]; text.placeholder = "say something, or /help"; }
                if (line.startsWith("-- You are in ")) wait = 500;
                if (line.includes("Please choose another name")) { asked = true; }
                show(line, false);
            };
            socket.onclose = () => {
                state.className = "off"; send.disabled = true;
                if (left) { state.textContent = "goodbye; load the page to come back"; return; }
                state.textContent = "not connected; trying again";
                setTimeout(connect, wait * (0.5 + Math.random()));
                wait = Math.min(wait * 2, 10000);
            };
        }

        document.getElementById("form").onsubmit = event => {
            event.preventDefault();
            const line = text.value.trim();
            if (!line || socket.readyState !== WebSocket.OPEN) return;
            if (/^\\/quit(\\s|$)/i.test(line)) left = true;
            socket.send(line);
            if (name && !line.startsWith("/")) show(name + ": " + line, true);
            text.value = "";
        };
        connect();
        </script>
        </body>
        </html>
        """
}
#endif
