// What TypeScript must accept of clients/javascript, and, where a comment says so, refuse.

import { Client, ZinitError, type Config, type ServiceStatus, type State } from "../../clients/javascript/zinit.mjs";

const config: Config = { service: { exec: ["true"], class: "user", env: { A: "b" } }, lifecycle: { restart: "always" } };
// @ts-expect-error: not a key of this section
const wrong: Config = { lifecycle: { restrat: "always" } };

const c = await Client.connect();
const status: ServiceStatus = await c.serviceStatus("web");
if (status.reason?.type === "signal") status.reason.signal.toFixed();
// @ts-expect-error: another type of reason has it
if (status.reason?.type === "exit_code") status.reason.signal;
for await (const event of c.events({ types: ["state"] })) {
  const to: State | null = event.to;
  const lost: number | undefined = event.lost;
}
const done: void = await c.serviceDelete("web", { force: true });
await c.serviceCreate(config, { persist: true }).catch((error) => error instanceof ZinitError && error.kind === "already_exists");
await c.xinetCreate({ name: "front", listen: [":80"], service: "web", pass: true });
await c.xinetRegister({ xinet: { listen: [":80"], service: "web" } });
// @ts-expect-error: a list
await c.xinetCreate({ listen: ":80", service: "web" });
// @ts-expect-error: no such state
await c.serviceWait("web", { state: "up" });
