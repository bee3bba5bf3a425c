// Types of zinit.mjs.
//
// Made by clients/generate.py from the API document of the server; do not edit it:
// the part that is written by hand is in clients/templates.

export interface BootResult {
  chain: string[];
  services: BootUnit[];
  total_ms: number;
}

export interface BootUnit {
  blocked_ms: number | null;
  kind: UnitKind;
  name: string;
  ready_ms: number | null;
  starting_ms: number | null;
  state: State;
}

export interface BulkFailure {
  message: string;
  name: string;
}

export interface BulkResult {
  errors: BulkFailure[];
  ok: boolean;
  services: string[];
  skipped: string[];
}

export type ChangeType = "state" | "config" | "removed";

export interface CheckResult {
  errors: Problem[];
  ok: boolean;
  warnings: Problem[];
}

export interface ChildProcess {
  command: string;
  cpu_percent: number;
  memory_bytes: number;
  pid: number;
  ppid: number;
}

export interface Config {
  conditions?: {
    /** variables: NAME is set and not empty, NAME=VALUE has this value; with a leading ! the opposite */
    env?: string[];
    /** paths that exist; with a leading ! that do not */
    exists?: string[];
  };
  dependencies?: {
    /** start after these, if they are started at all */
    after?: string[];
    /** as requires; it is also stopped when one of these ends in whatever way, and started again with it */
    binds?: string[];
    /** never run at the same time as these */
    conflicts?: string[];
    /** paths that must be mount points before a start */
    mounts?: string[];
    /** start only when these are running or done; stop before they are stopped */
    requires?: string[];
    /** start these too, without waiting */
    wants?: string[];
  };
  health?: {
    /** time between checks while it is running; 0: none after the first that passes. notify: the longest time between two signs of life (the watchdog); default 0, none (default 10000) */
    interval_ms?: number;
    /** failures in a row while it is running that make it fail; 0: they are only shown (default 3) */
    retries?: number;
    /** time between checks until the first one passes (default 100) */
    start_interval_ms?: number;
    /** tcp: host:port or the path of a socket; http: http://host[:port]/path; exec: a command; fd: a number from 3 to 19; log: a text; notify: none */
    target?: string | string[] | number;
    /** time limit of one check (default 5000) */
    timeout_ms?: number;
    /** how to see whether it works */
    type: "tcp" | "http" | "exec" | "notify" | "fd" | "log";
  };
  lifecycle?: {
    /** whom a stop reaches. group: the stop signal goes to all of the service, SIGKILL to what is left after stop_timeout_ms; mixed: the stop signal goes to the main process only, SIGKILL to what is left when it has ended; process: only the main process is stopped, what it leaves behind lives on (default "group") */
    kill_mode?: "group" | "mixed" | "process";
    /** restarts in a row before it is left failed (3 means 4 runs); 0: no limit */
    max_restarts?: number;
    /** without [health]: it is running only after it has lived this long */
    ready_after_ms?: number;
    /** after which kind of end it is started again (default "on-failure") */
    restart?: "always" | "on-failure" | "never";
    /** the longest delay before a restart; with less than restart_delay_ms the delay does not grow (default 60000) */
    restart_delay_max_ms?: number;
    /** delay before the first restart; doubles with each one; 0: none (default 1000) */
    restart_delay_ms?: number;
    /** exit codes, or signal names, after which no policy starts it again */
    restart_prevent?: (number | string)[];
    /** after running this long the delay and the count of restarts start over (default 10000) */
    stability_period_ms?: number;
    /** time from execution to running; 0: no limit, which is the default of a oneshot (default 30000) */
    start_timeout_ms?: number;
    /** command that asks it to end, before the signal; of a oneshot that has exited: run when it is stopped */
    stop_exec?: string | string[];
    /** signal that asks it to end (default "SIGTERM") */
    stop_signal?: string | number;
    /** time from the stop signal to SIGKILL (default 10000) */
    stop_timeout_ms?: number;
    /** exit codes, or signal names, that count as success (default [0]) */
    success_codes?: (number | string)[];
  };
  limits?: {
    /** address space, bytes */
    as?: number | "unlimited" | "infinity";
    /** ambient capabilities, such as net_bind_service */
    caps?: string[];
    /** its root directory */
    chroot?: string;
    /** size of a core file, bytes */
    core?: number | "unlimited" | "infinity";
    /** processor time of its control group; 150 is one and a half processors; 0: no limit */
    cpu_max_percent?: number;
    /** locked memory, bytes */
    memlock?: number | "unlimited" | "infinity";
    /** memory of its control group; 0: no limit */
    memory_max_bytes?: number;
    /** scheduling priority; 19 is the lowest */
    nice?: number;
    /** no setuid programs for it */
    no_new_privs?: boolean;
    /** open files */
    nofile?: number | "unlimited" | "infinity";
    /** processes of the user */
    nproc?: number | "unlimited" | "infinity";
    /** 1000: the first to be killed when memory runs out */
    oom_score_adj?: number;
    /** processes and threads of its control group; 0: no limit */
    pids_max?: number;
    /** octal digits, as a string */
    umask?: string;
  };
  logging?: {
    /** newest lines kept in memory, at most 4 MiB; 0: none (default 1000) */
    buffer_lines?: number;
    /** copy to stdout and stderr of the server, each to its own; default: only under init -c */
    console?: boolean;
    /** NAME | text, the line as it came, with time and stream, or a JSON object for each line (default "prefix") */
    console_format?: "prefix" | "plain" | "time" | "json";
    /** log file; missing directories are made */
    file?: string;
    /** of the file: the bytes as they came, with time and stream, or a JSON object for each line (default "raw") */
    format?: "raw" | "time" | "json";
    /** rotated files to keep (default 3) */
    keep?: number;
    /** size at which the file is rotated to file.1, file.2, ...; 0: never (default 10485760) */
    max_size_bytes?: number;
  };
  service?: {
    /** system services are left alone by start_all, stop_all and delete_all (default "user") */
    class?: UnitClass;
    /** its permanent end ends the container, or opens the emergency shell of a machine */
    critical?: boolean;
    /** shown to people */
    description?: string;
    /** working directory; default: that of the server */
    dir?: string;
    /** added to the environment of the server */
    env?: Record<string, string>;
    /** file with lines KEY=VALUE, or a list of them, later ones win; env wins over all; with a leading - it may be missing */
    env_file?: string | string[];
    /** the command to run, in the foreground; a list is executed as it is */
    exec: string | string[];
    /** put the values of the environment in for ${NAME} and ${NAME:-default}, without a shell */
    expand?: boolean;
    /** group to run as; default: that of the user */
    group?: string | number;
    /** of a template, a file NAME@.toml: the instances that always exist */
    instances?: string[];
    /** stop what process_filter finds (SIGTERM, stop_timeout_ms, SIGKILL) instead of waiting for its end */
    kill_others?: boolean;
    /** what the service is called; default: the file's name without .toml */
    name?: string;
    /** does its work and exits; done when it exits with a success code */
    oneshot?: boolean;
    /** for a program that goes into the background: its start is done when the first process has exited with 0 and this file names a live process of the service, which is the main process from then on */
    pid_file?: string;
    /** TCP ports that must be free before a start */
    ports?: number[];
    /** a foreign process with this in its name, in upper or lower case, blocks a start */
    process_filter?: string;
    /** directories made before each start, of mode 0755 and of user and group; missing ones above are made too */
    runtime_dirs?: string[];
    /** start: it is started when it is loaded; stop: only loaded; ignore: only loaded, and never restarted automatically (default "start") */
    status?: "start" | "stop" | "ignore";
    /** null: it reads nothing; pipe: what `zinit send` and `zinit attach` write (default "null") */
    stdin?: "null" | "pipe";
    /** terminal that becomes its stdin, stdout, stderr and controlling terminal; then nothing is logged */
    tty?: string;
    /** user to run as; default: that of the server */
    user?: string | number;
  };
  target?: {
    /** shown to people */
    description?: string;
    /** what the target is called; default: the file's name without .toml */
    name?: string;
    /** start: it is started when it is loaded; stop, ignore: only loaded (default "start") */
    status?: "start" | "stop" | "ignore";
  };
  xinet?: Proxy;
}

export interface DebugResult {
  services: DebugService[];
  text: string;
}

export interface DebugService {
  config: Config;
  generation: number;
  invocation: string;
  status: ServiceStatusFull;
}

export interface ErrorData {
  errors?: Problem[];
  kind: string;
  names?: string[];
  not_loaded?: string;
  param?: string;
}

export interface HealthStatus {
  checks: number;
  failures: number;
  last_error: string;
  ok: boolean;
}

export interface InfoResult {
  cgroup: string;
  config_dirs: string[];
  degraded: string[];
  kernel: string;
  mode: ServerMode;
  pid: number;
  shutdown_at_ms: number | null;
  socket: string;
  started_ms: number;
  version: string;
}

export interface LogLine {
  seq: number;
  service: string;
  stream: LogStream;
  text: string;
  time_ms: number;
}

export interface LogNote {
  lost?: number;
  seq: number;
  service: string;
  stream: LogStream;
  subscription: number;
  text: string;
  time_ms: number;
}

export type LogStream = "stdout" | "stderr" | "syslog";

export interface PingResult {
  mode: ServerMode;
  pid: number;
  uptime_ms: number;
  version: string;
}

export interface Problem {
  column: number;
  line: number;
  message: string;
  path: string;
}

export interface ProcessNode {
  children: ProcessNode[];
  command: string;
  pid: number;
  ppid: number;
  service: string;
}

export interface ProcessResult {
  roots: ProcessNode[];
  text: string;
}

export interface Proxy {
  /** where the service listens */
  backend?: string;
  /** seconds to wait for the backend (default 30) */
  connect_timeout?: number;
  /** shown to people */
  description?: string;
  /** seconds without a connection before the service is stopped; 0: never */
  idle_timeout?: number;
  /** where to listen: host:port, :port, tcp:host:port, /path or unix:/path */
  listen: string[];
  /** what the proxy is called; default: the file's name without .toml */
  name?: string;
  /** give the sockets to the service instead of copying */
  pass?: boolean;
  /** the service to start on demand */
  service: string;
  /** only one connection at a time */
  single_connection?: boolean;
}

export interface PutResult {
  name: string;
  ok: boolean;
  path: string | null;
  warnings: Problem[];
}

export type Reason = { service: string; type: "dependency_failed" } | { code: number | null; type: "exit_code" } | { attempts: number; last_error: string; type: "health_check_failed" } | { dependency: string; type: "missing_dependency" } | { core: boolean; name: string; oom?: boolean; signal: number; type: "signal" } | { message: string; type: "spawn_error" } | { type: "start_timeout" } | { message: string; type: "stop_timeout" };

export interface ReloadResult {
  added: string[];
  changed: string[];
  errors: Problem[];
  removed: string[];
  restarted: string[];
  unchanged: string[];
  warnings: Problem[];
}

export interface RestartResult {
  ok: boolean;
  services: string[];
  state_file: string | null;
}

export type ServerMode = "standalone" | "container" | "system";

export interface ServiceEvent {
  from: State | null;
  lost?: number;
  reason: Reason | null;
  seq: number;
  service: string;
  subscription: number;
  time_ms: number;
  to: State | null;
  type: ChangeType;
}

export interface ServiceStatus {
  blocked_by: string[];
  config_changed: boolean;
  exit_code: number | null;
  health: HealthStatus | null;
  kind: UnitKind;
  name: string;
  pid: number;
  reason: Reason | null;
  restart_count: number;
  restart_in_ms: number | null;
  skipped?: string;
  state: State;
  status_text?: string;
  uptime_ms: number;
  wish: Wish;
}

export interface ServiceStatusFull {
  blocked_by: string[];
  class: UnitClass;
  config_changed: boolean;
  cpu_percent: number;
  critical: boolean;
  description: string;
  exit_code: number | null;
  health: HealthStatus | null;
  kind: UnitKind;
  last_start: number;
  last_stop: number;
  log_error?: string;
  memory_bytes: number;
  name: string;
  oneshot: boolean;
  path: string;
  pid: number;
  reason: Reason | null;
  restart_count: number;
  restart_in_ms: number | null;
  skipped?: string;
  state: State;
  status_text?: string;
  uptime_ms: number;
  wish: Wish;
}

export type State = "inactive" | "blocked" | "starting" | "running" | "stopping" | "exited" | "failed";

export interface StateResult {
  blocked_by?: string[];
  ok: boolean;
  state: State;
}

export interface StatsResult {
  children: ChildProcess[];
  cpu_percent: number;
  fds: number;
  memory_bytes: number;
  name: string;
  pid: number;
  processes: number;
  threads: number;
}

export interface SubscribeResult {
  subscription: number;
}

export interface TextResult {
  text: string;
}

export interface TreeNode {
  children: TreeNode[];
  kind: string;
  name: string;
  state: string;
  truncated?: boolean;
}

export interface TreeResult {
  roots: TreeNode[];
  text: string;
}

export type UnitClass = "user" | "system";

export type UnitKind = "service" | "target";

export interface UpgradeResult {
  ok: boolean;
  version: string;
}

export interface WaitResult {
  blocked_by?: string[];
  state: State;
}

export interface WhyReason {
  detail: string;
  service: string;
  state: string;
  type: string;
}

export interface WhyResult {
  blocked: boolean;
  name: string;
  reasons: WhyReason[];
  state: State;
  text: string;
  todo: string[];
}

export type Wish = "up" | "down";

export interface XinetStatus {
  active_connections: number;
  backend: string;
  bytes_from_backend: number;
  bytes_to_backend: number;
  connect_timeout: number;
  description: string;
  idle_timeout: number;
  last_error: string;
  listen: string[];
  name: string;
  running: boolean;
  service: string;
  single_connection: boolean;
  total_connections: number;
}

export type ErrorKind =
  | "already_exists"
  | "config_error"
  | "dependency_error"
  | "internal_error"
  | "invalid_params"
  | "invalid_request"
  | "invalid_signal"
  | "invalid_state"
  | "method_not_found"
  | "not_supported"
  | "parse_error"
  | "permission_denied"
  | "process_error"
  | "service_file_error"
  | "service_is_down"
  | "service_not_found"
  | "shutting_down"
  | "timeout"
  | "xinet_error";

/** What the server refused. Programs read `kind` and `data`, never the message. */
export class ZinitError extends Error {
  readonly code: number;
  readonly kind: ErrorKind;
  readonly data: ErrorData;
}

/** No server answers, or the connection broke before an answer. Whether a changing request was carried out is then not known. */
export class ServerGone extends Error {}

/**
 * The notifications of a subscription, which goes on when the server is replaced. The end of the loop ends it. An item's `lost` says how many
 * were missed before it: this client was too slow, or, then at least 1, the server was replaced.
 */
export type Stream<T> = AsyncIterableIterator<T>;

/**
 * A connection to the server. When the server is replaced, requests that only read are sent again, for at most `timeout` ms; one that
 * changes something is never sent twice, and fails with ServerGone.
 */
export class Client {
  private constructor();

  /**
   * Connects to the server at path; without one, to ZINIT_SOCKET, or where the zinit command looks.
   * @param options.timeout in ms: how long an answer that need not wait, or the next server, may take (default 30000)
   */
  static connect(path?: string, options?: { timeout?: number }): Promise<Client>;

  /** The socket. */
  readonly path: string;

  /** Closes the connection; iterators end. */
  close(): void;

  /**
   * Describes all methods as an OpenRPC document.
   */
  rpcDiscover(): Promise<Record<string, unknown>>;

  /**
   * Answers when the server is alive.
   */
  systemPing(): Promise<PingResult>;

  /**
   * What works here and what does not.
   */
  systemInfo(): Promise<InfoResult>;

  /**
   * Numbers of all services as OpenMetrics text.
   */
  systemMetrics(): Promise<TextResult>;

  /**
   * Stops all services and ends the server; as PID 1 of a machine: powers off.
   * @param options.delay_ms not now but after this time; a planned shutdown takes the place of one that was planned before
   * @param options.message told on the console and the terminals of those who are logged in, when it is planned
   * @param options.cancel give up the shutdown that is planned; no error when none is
   * @throws ZinitError of kind invalid_params, permission_denied, not_supported
   */
  systemShutdown(options?: { delay_ms?: number; message?: string; cancel?: boolean }): Promise<void>;

  /**
   * Reboots the machine.
   * @param options.delay_ms not now but after this time; a planned shutdown takes the place of one that was planned before
   * @param options.message told on the console and the terminals of those who are logged in, when it is planned
   * @throws ZinitError of kind invalid_params, permission_denied, not_supported
   */
  systemReboot(options?: { delay_ms?: number; message?: string }): Promise<void>;

  /**
   * Powers the machine off.
   * @param options.delay_ms not now but after this time; a planned shutdown takes the place of one that was planned before
   * @param options.message told on the console and the terminals of those who are logged in, when it is planned
   * @throws ZinitError of kind invalid_params, permission_denied, not_supported
   */
  systemPoweroff(options?: { delay_ms?: number; message?: string }): Promise<void>;

  /**
   * Halts the machine.
   * @param options.delay_ms not now but after this time; a planned shutdown takes the place of one that was planned before
   * @param options.message told on the console and the terminals of those who are logged in, when it is planned
   * @throws ZinitError of kind invalid_params, permission_denied, not_supported
   */
  systemHalt(options?: { delay_ms?: number; message?: string }): Promise<void>;

  /**
   * Saves the state and ends the server; the services go on.
   * @throws ZinitError of kind shutting_down, permission_denied, not_supported
   */
  systemPrepareRestart(): Promise<RestartResult>;

  /**
   * Goes over to a new binary; the services go on.
   * @param options.binary its path; absent: the server's own
   * @throws ZinitError of kind invalid_params, shutting_down, invalid_state, process_error, permission_denied, timeout, not_supported
   */
  systemUpgrade(options?: { binary?: string }): Promise<UpgradeResult>;

  /**
   * Everything that the server knows.
   */
  debugState(): Promise<DebugResult>;

  /**
   * All processes of all services.
   */
  debugProcessTree(): Promise<ProcessResult>;

  /**
   * How long each service took to start, and the critical chain.
   * @param options.format data, or a text for people (default "json")
   * @throws ZinitError of kind invalid_params
   */
  bootAnalyze(options?: { format?: "json" | "text" }): Promise<BootResult | TextResult>;

  /**
   * Sends an `event` notification for each change from now on.
   * @param options.services only these services; absent or empty: all
   * @param options.types only events of these types; absent: all
   * @throws ZinitError of kind invalid_params
   */
  events(options?: { services?: string[]; types?: ChangeType[] }): Stream<ServiceEvent>;

  /**
   * Adds a new service, and starts it when its status says so.
   * @param config the configuration, with the sections and keys of the TOML file
   * @param options.persist also write its file, so that it is there after the next start of the server
   * @param options.text the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
   * @throws ZinitError of kind invalid_params, config_error, shutting_down, already_exists, service_file_error, dependency_error, permission_denied
   */
  serviceCreate(config: Config, options?: { persist?: boolean; text?: string }): Promise<PutResult>;

  /**
   * Adds a new service, and starts it when its status says so.
   * @param config the configuration, with the sections and keys of the TOML file
   * @param options.persist also write its file, so that it is there after the next start of the server
   * @param options.text the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
   * @throws ZinitError of kind invalid_params, config_error, shutting_down, already_exists, service_file_error, dependency_error, permission_denied
   */
  serviceAdd(config: Config, options?: { persist?: boolean; text?: string }): Promise<PutResult>;

  /**
   * Stops a service, waits until it is gone and deletes its file.
   * @param name the service or target
   * @param options.force also when others require it
   * @throws ZinitError of kind invalid_params, service_not_found, service_file_error, invalid_state, dependency_error, permission_denied
   */
  serviceDelete(name: string, options?: { force?: boolean }): Promise<void>;

  /**
   * Stops a service, waits until it is gone and deletes its file.
   * @param name the service or target
   * @param options.force also when others require it
   * @throws ZinitError of kind invalid_params, service_not_found, service_file_error, invalid_state, dependency_error, permission_denied
   */
  serviceRemove(name: string, options?: { force?: boolean }): Promise<void>;

  /**
   * Adds a new service and writes its file.
   * @param config the configuration, with the sections and keys of the TOML file
   * @param options.text the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
   * @throws ZinitError of kind invalid_params, config_error, shutting_down, already_exists, service_file_error, dependency_error, permission_denied
   */
  serviceRegister(config: Config, options?: { text?: string }): Promise<PutResult>;

  /**
   * Adds a new service without a file.
   * @param config the configuration, with the sections and keys of the TOML file
   * @throws ZinitError of kind invalid_params, config_error, shutting_down, already_exists, service_file_error, dependency_error, permission_denied
   */
  serviceMonitor(config: Config): Promise<PutResult>;

  /**
   * Adds or replaces a service and writes its file; if it runs it is restarted.
   * @param config the configuration, with the sections and keys of the TOML file
   * @param options.text the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
   * @throws ZinitError of kind invalid_params, config_error, shutting_down, service_file_error, invalid_state, dependency_error, permission_denied
   */
  serviceSet(config: Config, options?: { text?: string }): Promise<PutResult>;

  /**
   * Replaces a service, and its file if it has one; if it runs it is restarted.
   * @param config the configuration, with the sections and keys of the TOML file
   * @param options.text the text to write as its file, with comments, when a file is written: TOML that says the same as config; absent: made from config
   * @throws ZinitError of kind invalid_params, service_not_found, config_error, shutting_down, service_file_error, invalid_state, dependency_error, permission_denied
   */
  serviceUpdate(config: Config, options?: { text?: string }): Promise<PutResult>;

  /**
   * The configuration of a service, defaults filled in.
   * @param name the service or target
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  serviceGet(name: string): Promise<Config>;

  /**
   * What service.set would say about a configuration; changes nothing.
   * @param config the configuration, with the sections and keys of the TOML file
   * @throws ZinitError of kind invalid_params
   */
  serviceCheck(config: Config): Promise<CheckResult>;

  /**
   * Reads the directories again.
   * @param options.restart restart the services whose configuration changed
   * @throws ZinitError of kind invalid_params, shutting_down, permission_denied
   */
  serviceReload(options?: { restart?: boolean }): Promise<ReloadResult>;

  /**
   * The names of all services, sorted.
   */
  serviceList(): Promise<string[]>;

  /**
   * All services, sorted by name.
   */
  serviceListFull(): Promise<ServiceStatusFull[]>;

  /**
   * The state of a service.
   * @param name the service or target
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  serviceStatus(name: string): Promise<ServiceStatus>;

  /**
   * The state of a service, with resources and what its file says.
   * @param name the service or target
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  serviceStatusFull(name: string): Promise<ServiceStatusFull>;

  /**
   * The resources of a service: of its main process, and of each of its descendants.
   * @param name the service or target
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  serviceStats(name: string): Promise<StatsResult>;

  /**
   * The descendants of a service's main process.
   * @param name the service or target
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  serviceChildren(name: string): Promise<ChildProcess[]>;

  /**
   * Whether a service is running.
   * @param name the service or target
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  serviceIsRunning(name: string): Promise<boolean>;

  /**
   * Why a service is in its state, down to the root causes.
   * @param name the service or target
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  serviceWhy(name: string): Promise<WhyResult>;

  /**
   * What needs what.
   * @param options.name the unit to begin with; absent: all
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  serviceTree(options?: { name?: string }): Promise<TreeResult>;

  /**
   * The graph as a drawing for other programs.
   * @param options.format the language of the drawing (default "dot")
   * @throws ZinitError of kind invalid_params
   */
  serviceGraph(options?: { format?: "dot" | "mermaid" | "json" }): Promise<TextResult>;

  /**
   * Starts a service and keeps it up; with wait it answers when the service is running, exited or failed, or blocked until a person acts.
   * @param name the service or target
   * @param options.tree also what it requires and wants
   * @param options.wait answer when it is done, not at once
   * @param options.timeout_ms how long to wait; absent or 0: as long as it takes
   * @throws ZinitError of kind invalid_params, service_not_found, shutting_down, invalid_state, permission_denied, timeout
   */
  serviceStart(name: string, options?: { tree?: boolean; wait?: boolean; timeout_ms?: number }): Promise<StateResult>;

  /**
   * Stops a service, those that require it first.
   * @param name the service or target
   * @param options.wait answer when it is done, not at once
   * @param options.timeout_ms how long to wait; absent or 0: as long as it takes
   * @throws ZinitError of kind invalid_params, service_not_found, shutting_down, invalid_state, permission_denied, timeout
   */
  serviceStop(name: string, options?: { wait?: boolean; timeout_ms?: number }): Promise<StateResult>;

  /**
   * Stops and starts a service.
   * @param name the service or target
   * @param options.wait answer when it is done, not at once
   * @param options.timeout_ms how long to wait; absent or 0: as long as it takes
   * @throws ZinitError of kind invalid_params, service_not_found, shutting_down, invalid_state, permission_denied, timeout
   */
  serviceRestart(name: string, options?: { wait?: boolean; timeout_ms?: number }): Promise<StateResult>;

  /**
   * Sends a signal to the main process of a service, or to all of it; the wish stays.
   * @param name the service or target
   * @param options.signal name, with or without SIG, or number (default "SIGTERM")
   * @param options.group to all processes of the service, not only to the main one
   * @throws ZinitError of kind invalid_params, service_not_found, service_is_down, invalid_signal, process_error, permission_denied
   */
  serviceKill(name: string, options?: { signal?: string | number; group?: boolean }): Promise<void>;

  /**
   * Writes a text and a newline to the stdin of a service that has stdin = "pipe"; up to 4095 bytes are written whole or not at all.
   * @param name the service or target
   * @param text what to write; a newline follows
   * @throws ZinitError of kind invalid_params, service_not_found, service_is_down, invalid_state, process_error, permission_denied
   */
  serviceSend(name: string, text: string): Promise<void>;

  /**
   * Waits until a service is in a state; answers at once when it is blocked until a person acts.
   * @param name the service or target
   * @param options.state the state to wait for (default "running")
   * @param options.timeout_ms how long to wait; absent or 0: as long as it takes
   * @throws ZinitError of kind invalid_params, service_not_found, timeout
   */
  serviceWait(name: string, options?: { state?: State; timeout_ms?: number }): Promise<WaitResult>;

  /**
   * Starts all services of class user.
   * @throws ZinitError of kind shutting_down, permission_denied
   */
  serviceStartAll(): Promise<BulkResult>;

  /**
   * Stops all services of class user.
   * @throws ZinitError of kind permission_denied
   */
  serviceStopAll(): Promise<BulkResult>;

  /**
   * Deletes all services of class user, and their files.
   * @throws ZinitError of kind shutting_down, permission_denied
   */
  serviceDeleteAll(): Promise<BulkResult>;

  /**
   * The newest lines of a service as texts.
   * @param name the service or target
   * @param options.lines the newest lines, at most this many (default 100)
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  logsGet(name: string, options?: { lines?: number }): Promise<string[]>;

  /**
   * The newest lines of a service.
   * @param name the service or target
   * @param options.lines the newest lines, at most this many (default 100)
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  logsTail(name: string, options?: { lines?: number }): Promise<LogLine[]>;

  /**
   * The newest lines that match, of all services in the order of time.
   * @param options.service only this service
   * @param options.stream only this stream
   * @param options.since_ms ms since the epoch
   * @param options.until_ms ms since the epoch
   * @param options.contains text that the line contains
   * @param options.lines the newest lines, at most this many (default 1000)
   * @throws ZinitError of kind invalid_params, service_not_found
   */
  logsFilter(options?: { service?: string; stream?: LogStream; since_ms?: number; until_ms?: number; contains?: string; lines?: number }): Promise<LogLine[]>;

  /**
   * Sends the newest lines and then each new one as a `log` notification.
   * @param options.services only these services; absent or empty: all
   * @param options.stream only this stream
   * @param options.lines the newest lines, at most this many (default 10)
   * @throws ZinitError of kind invalid_params
   */
  follow(options?: { services?: string[]; stream?: LogStream; lines?: number }): Stream<LogNote>;

  /**
   * Adds a proxy, without a file.
   * @param config the proxy: the section [xinet] as in the file, or its keys alone
   * @throws ZinitError of kind invalid_params, config_error, shutting_down, already_exists, service_file_error, xinet_error, permission_denied
   */
  xinetCreate(config: Proxy | Config): Promise<void>;

  /**
   * Adds a proxy, or replaces one, and its file if it has one.
   * @param config the proxy: the section [xinet] as in the file, or its keys alone
   * @throws ZinitError of kind invalid_params, config_error, shutting_down, already_exists, service_file_error, xinet_error, permission_denied
   */
  xinetRegister(config: Proxy | Config): Promise<void>;

  /**
   * Removes a proxy, and its file; its service stays as it is.
   * @param name the proxy
   * @throws ZinitError of kind invalid_params, service_file_error, xinet_error, permission_denied
   */
  xinetDelete(name: string): Promise<void>;

  /**
   * Removes a proxy, and its file; its service stays as it is.
   * @param name the proxy
   * @throws ZinitError of kind invalid_params, service_file_error, xinet_error, permission_denied
   */
  xinetUnregister(name: string): Promise<void>;

  /**
   * The configuration of a proxy.
   * @param name the proxy
   * @throws ZinitError of kind invalid_params, xinet_error
   */
  xinetGet(name: string): Promise<Config>;

  /**
   * The names of all proxies.
   */
  xinetList(): Promise<string[]>;

  /**
   * The state of a proxy.
   * @param name the proxy
   * @throws ZinitError of kind invalid_params, xinet_error
   */
  xinetStatus(name: string): Promise<XinetStatus>;

  /**
   * The state of all proxies.
   */
  xinetStatusAll(): Promise<XinetStatus[]>;
}
