let pageHead: StaticString = #"""
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
    <meta name="color-scheme" content="light dark">
    <link rel="icon" href="data:,">
    <title>Timeline</title>

    """#

let pageStyle: StaticString = #"""
    <style>
    :root { color-scheme: light dark; --back: #fff; --panel: #f5f6f8; --line: #dfe3e8; --text: #16191d;
      --dim: #5b6470; --hover: #eef2f7; --chosen: #e2ecfa; --accent: #005b94; --run: #0072b2; --long: #c8470a;
      --ready: #e69f00; --read: #56b4e9; --write: #009e73; --sleep: #8d96a2; --other: #cc79a7; --parked: #8f7bd0;
      --unknown: #b9bfc8; --work: #4a5563; --asleep: #ccd2da; --onrun: #fff; }
    @media (prefers-color-scheme: dark) { :root:not([data-theme=light]) { --back: #14171b; --panel: #1b1f25;
      --line: #2f353d; --text: #e6e9ed; --dim: #98a2af; --hover: #20262e; --chosen: #1d3147; --accent: #79c0ff;
      --run: #3d9be0; --long: #ff7b3d; --ready: #f0b429; --read: #56b4e9; --write: #1fb98b; --sleep: #7d8794;
      --other: #d98cb6; --parked: #a995ec; --unknown: #4d5560; --work: #b6bfca; --asleep: #39414b;
      --onrun: #06121d; } }
    :root[data-theme=dark] { color-scheme: dark; --back: #14171b; --panel: #1b1f25; --line: #2f353d;
      --text: #e6e9ed; --dim: #98a2af; --hover: #20262e; --chosen: #1d3147; --accent: #79c0ff; --run: #3d9be0;
      --long: #ff7b3d; --ready: #f0b429; --read: #56b4e9; --write: #1fb98b; --sleep: #7d8794; --other: #d98cb6;
      --parked: #a995ec; --unknown: #4d5560; --work: #b6bfca; --asleep: #39414b; --onrun: #06121d; }
    :root[data-theme=light] { color-scheme: light; }
    * { box-sizing: border-box; }
    html, body { height: 100%; margin: 0; }
    body { display: flex; flex-direction: column; background: var(--back); color: var(--text); overflow: hidden;
      font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
    header { display: flex; flex-wrap: wrap; gap: 6px 16px; align-items: center; padding: 8px 14px; }
    h1 { font-size: 16px; margin: 0; font-weight: 650; overflow-wrap: anywhere; }
    #facts { margin: 0; color: var(--dim); flex: 1; min-width: 180px; }
    .tools { display: flex; gap: 6px; align-items: center; flex-wrap: wrap; }
    button, select, input { font: inherit; color: inherit; background: var(--panel); border-radius: 7px;
      border: 1px solid var(--line); padding: 4px 9px; min-height: 32px; }
    button { cursor: pointer; }
    button:hover, select:hover { background: var(--hover); }
    button[aria-pressed=true] { background: var(--chosen); border-color: var(--accent); }
    :focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
    #search { width: 210px; }
    #found { color: var(--dim); font-size: 12px; }
    #found:empty { display: none; }
    #notes { margin: 0; padding: 4px 14px; background: var(--chosen); font-size: 13px; }
    #overview { display: block; width: 100%; height: 46px; border-block: 1px solid var(--line);
      background: var(--panel); touch-action: none; cursor: crosshair; flex: none; }
    main { flex: 1; display: flex; min-height: 0; }
    #stage { position: relative; flex: 1; min-width: 0; touch-action: none; outline-offset: -2px; cursor: grab;
      user-select: none; -webkit-user-select: none; }
    #stage.drags { cursor: grabbing; }
    #stage canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
    #tip { position: absolute; pointer-events: none; max-width: 330px; padding: 7px 10px; z-index: 2;
      background: var(--back); border: 1px solid var(--line); border-radius: 8px; font-size: 13px;
      box-shadow: 0 4px 16px #0003; overflow-wrap: anywhere; }
    #tip b { display: block; }
    #tip span { display: block; color: var(--dim); }
    #empty { position: absolute; inset: 30% 20px auto; text-align: center; color: var(--dim); margin: 0; }
    #panel { width: 388px; border-left: 1px solid var(--line); background: var(--panel); display: flex;
      flex-direction: column; min-height: 0; }
    #panel[hidden], [hidden] { display: none; }
    .tabs { display: flex; gap: 4px; padding: 8px 10px 0; border-bottom: 1px solid var(--line); }
    .tabs button { border: 0; border-bottom: 3px solid transparent; border-radius: 6px 6px 0 0; background: none; }
    .tabs button[aria-selected=true] { border-bottom-color: var(--accent); font-weight: 600; }
    .tabs .close { margin-left: auto; }
    .page { overflow: auto; padding: 12px 14px 24px; flex: 1; overscroll-behavior: contain; }
    .page h2 { font-size: 16px; margin: 0 0 2px; overflow-wrap: anywhere; }
    .page h3 { font-size: 12px; margin: 18px 0 6px; color: var(--dim); text-transform: uppercase;
      letter-spacing: .06em; }
    .page p { margin: 6px 0; overflow-wrap: anywhere; }
    .page .dim { color: var(--dim); }
    .share { display: flex; height: 12px; border-radius: 6px; overflow: hidden; margin: 10px 0 6px;
      background: var(--line); }
    .share i { display: block; min-width: 1px; }
    .keyed { display: flex; flex-wrap: wrap; gap: 2px 12px; font-size: 12px; color: var(--dim); }
    ol.steps { list-style: none; margin: 0; padding: 0; font-size: 13px; }
    ol.steps button { display: flex; gap: 10px; width: 100%; text-align: left; border: 0; background: none;
      padding: 3px 4px; min-height: 0; border-radius: 5px; align-items: baseline; }
    ol.steps button:hover { background: var(--hover); }
    ol.steps time { flex: 0 0 92px; text-align: right; color: var(--dim); font-variant-numeric: tabular-nums; }
    ol.steps span { overflow-wrap: anywhere; min-width: 0; }
    .swatch { display: inline-block; width: 14px; height: 10px; border-radius: 2px; margin-right: 5px;
      vertical-align: -1px; }
    a.task { color: var(--accent); cursor: pointer; text-decoration: underline; text-underline-offset: 2px;
      background: none; border: 0; padding: 0; min-height: 0; }
    table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
    th, td { text-align: right; padding: 3px 4px; white-space: nowrap; }
    th:first-child, td:first-child { text-align: left; max-width: 112px; overflow: hidden;
      text-overflow: ellipsis; padding-left: 0; }
    th { position: sticky; top: -12px; background: var(--panel); font-weight: 600; border-bottom: 1px solid
      var(--line); padding: 0; }
    th:first-child button { padding-left: 0; }
    th button { border: 0; background: none; padding: 5px 4px; font-weight: 600; min-height: 0; }
    th[aria-sort=descending] button::after { content: " ▾"; }
    tbody tr { cursor: pointer; }
    tbody tr:hover { background: var(--hover); }
    tbody tr.chosen { background: var(--chosen); }
    dl { display: grid; grid-template-columns: auto 1fr; gap: 2px 14px; margin: 6px 0; }
    dt { color: var(--dim); }
    dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
    footer { display: flex; flex-wrap: wrap; gap: 3px 16px; padding: 6px 14px; font-size: 12px; color: var(--dim);
      border-top: 1px solid var(--line); align-items: center; }
    footer canvas { width: 22px; height: 16px; vertical-align: -4px; margin-right: 5px; }
    dialog { border: 1px solid var(--line); border-radius: 12px; background: var(--back); color: inherit;
      max-width: 560px; width: calc(100% - 24px); padding: 18px 22px; }
    dialog::backdrop { background: #0006; }
    dialog h2 { margin: 0 0 8px; font-size: 17px; }
    kbd { font: 12px ui-monospace, "DejaVu Sans Mono", monospace; border: 1px solid var(--line); padding: 1px 6px;
      border-radius: 5px; background: var(--panel); }
    .keys { grid-template-columns: auto 1fr; }
    .keys dd { text-align: left; }
    @media (max-width: 760px) {
      header { padding: 6px 10px; gap: 4px 10px; }
      #facts { font-size: 12px; min-width: 100%; order: 2; }
      h1 { flex: 1; }
      .tools { order: 3; width: 100%; flex-wrap: nowrap; }
      .tools button, .tools select { min-height: 40px; min-width: 40px; padding: 4px 8px; }
      #search { flex: 1; min-width: 0; width: auto; min-height: 40px; }
      #order, #zoomin, #zoomout { display: none; }
      main { flex-direction: column; }
      #panel { width: auto; border-left: 0; border-top: 1px solid var(--line); height: 46%; }
      footer { flex-wrap: nowrap; overflow-x: auto; white-space: nowrap; padding: 5px 10px; scrollbar-width: none; }
      #panel ~ footer { flex: none; }
    }
    @media (prefers-reduced-motion: no-preference) { button, tr { transition: background .12s; } }
    </style>
    </head>

    """#

let pageBody: StaticString = #"""
    <body>
    <header>
    <h1 id="title">Timeline</h1>
    <p id="facts"></p>
    <div class="tools">
    <input id="search" type="search" placeholder="Search" aria-label="Search tasks"
      title="By name, #id, peer or operation ( / )" autocomplete="off" spellcheck="false">
    <span id="found" role="status"></span>
    <select id="order" aria-label="Order of the lanes">
    <option value="first">in order of birth</option><option value="run">most run time</option>
    <option value="long">longest run</option><option value="late">longest in the queue</option>
    <option value="runs">most runs</option><option value="name">by name</option>
    </select>
    <button id="zoomout" aria-label="Zoom out" title="Zoom out ( - )">−</button>
    <button id="zoomin" aria-label="Zoom in" title="Zoom in ( + )">+</button>
    <button id="fit" title="Show everything ( 0 )">Fit</button>
    <button id="stats" aria-pressed="false" title="Statistics ( s )">Statistics</button>
    <button id="theme" aria-label="Light or dark" title="Light or dark">◐</button>
    <button id="help" aria-label="Keys and gestures" title="Keys and gestures ( ? )">?</button>
    </div>
    </header>
    <p id="notes" hidden></p>
    <canvas id="overview" aria-label="The whole recording: how busy the loops were. Drag to choose a part."></canvas>
    <main>
    <div id="stage" tabindex="0" role="application"
      aria-label="Timeline: a lane for each task. Arrow keys choose and move, plus and minus zoom.">
    <canvas id="lanes"></canvas>
    <p id="empty" hidden></p>
    <div id="tip" hidden></div>
    </div>
    <aside id="panel" aria-label="Details" hidden>
    <div class="tabs" role="tablist">
    <button role="tab" id="storytab" aria-selected="true" aria-controls="story">Story</button>
    <button role="tab" id="statstab" aria-selected="false" aria-controls="statistics">Statistics</button>
    <button class="close" id="close" aria-label="Close">✕</button>
    </div>
    <div class="page" id="story" role="tabpanel" tabindex="0"></div>
    <div class="page" id="statistics" role="tabpanel" tabindex="0" hidden></div>
    </aside>
    </main>
    <footer id="legend" aria-label="Legend"></footer>
    <dialog id="keys" aria-labelledby="keystitle">
    <h2 id="keystitle">Keys and gestures</h2>
    <dl class="keys">
    <dt><kbd>+</kbd> <kbd>-</kbd></dt><dd>zoom; so does the wheel, and two fingers</dd>
    <dt><kbd>←</kbd> <kbd>→</kbd></dt><dd>move in time; so does dragging, and the wheel with Shift</dd>
    <dt><kbd>↑</kbd> <kbd>↓</kbd></dt><dd>the task above or below; the wheel over the names scrolls</dd>
    <dt><kbd>[</kbd> <kbd>]</kbd></dt><dd>the run before or after, of the chosen task</dd>
    <dt><kbd>Enter</kbd></dt><dd>show the whole life of the chosen task; a double click shows one span</dd>
    <dt><kbd>0</kbd></dt><dd>show everything</dd>
    <dt><kbd>/</kbd></dt><dd>search by name, <code>#id</code>, peer or operation</dd>
    <dt><kbd>s</kbd></dt><dd>statistics</dd>
    <dt><kbd>Esc</kbd></dt><dd>close, choose nothing</dd>
    </dl>
    <p>A task <b>runs</b> until it awaits something. When that has come, it is <b>ready</b>: it stands in the loop's
    queue until its turn comes. An arrow leads from who woke it to where it runs. A run longer than 30 ms keeps
    everybody else waiting, and is drawn in another colour.</p>
    <form method="dialog"><button autofocus>Close</button></form>
    </dialog>

    """#
