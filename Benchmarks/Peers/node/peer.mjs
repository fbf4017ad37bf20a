// Node 18 or later, with its own modules. JavaScript runs on one thread; only `cross` starts a second one.
import * as servers from "./servers.mjs";
import * as tasks from "./tasks.mjs";

const [work = "", ...numbers] = process.argv.slice(2);
const body = servers[work] ?? tasks.works[work];
if (!body) {
  console.error(`${work}: Node has nothing of the kind`);
  process.exit(3);
}
await body(...numbers.map(Number));
