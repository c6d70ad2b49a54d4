import type { Connector } from '../../channels/connector';
import { type BreakerRow, openBreakers } from '../../db/delivery/breakers';
import type { RateLimit } from '../../db/delivery/capacity';
import type { DueRow } from '../../db/delivery/read-ahead';
import { loadThrottles } from '../../db/delivery/throttles';
import {
  ensureRoute,
  loadSenders,
  loadWaysOut,
  openIpCredentials,
  raiseUnalignedAlert,
  resolveUnalignedAlert,
  zoneAndUnaligned,
} from '../../db/senders';
import { BreakerWatch, type BreakerWay, breakerBinds, type CapacityLimit, type Throttle } from '../../domain/delivery';
import {
  INSTALLATION_PROVIDER_ID,
  type PermittedSender,
  type RouteRecipient,
  type RouteRequest,
  type Sender,
  type Way,
  type Ways,
  type WaysOut,
  waysOf,
} from '../../domain/senders';
import { localDate, nextLocalMidnight } from '../../domain/shared/zones';
import type { ActivityDependencies } from '../dependencies';
import { createSenderConnector, installationSmtp } from '../senders';
import { MxGroups } from './mx-groups';
import { RoutePlan, type WayState } from './route-plan';
import { UsedUpLimits } from './used-up-limits';
import { Window } from './window';

/** How long senders, breakers and throttles may be remembered; every claim is bound by the capacity rows anyway. */
const SENDERS_MS = 1_000;
const STATE_MS = 500;
/** How soon a provider whose breaker is just being opened is looked at again. */
const TRIP_MS = 100;

/** What one message takes: a sender, its route for the From address, and its connections in this process. */
export interface ChosenRoute extends BreakerWay {
  sender: Sender;
  /** Who the message says it is from, in the place of its own From; null = that. */
  from: PermittedSender | null;
  routeId: string;
  reason: string;
  connector: Connector;
  watch: BreakerWatch;
  /** W of this provider alone, within that of the process; null = the process's only. */
  window: Window | null;
  /** Messages per second of the sender, paced evenly over all processes; null = unlimited. */
  rateLimit: RateLimit | null;
  /** What a claim takes units of: provider, domain, address of departure. */
  caps: readonly CapacityLimit[];
  /** True: the breaker is open and this process has been given the one probe. */
  probe: boolean;
}

interface WorkspaceState {
  zone: string;
  senders: Sender[];
  waysOut: WaysOut;
  /** By request, for the senders and objects as they were loaded. */
  ways: Map<string, Ways>;
  plans: Map<string, RoutePlan>;
  sendersAt: number;
  /** Those that are not closed. */
  breakers: readonly BreakerRow[];
  throttles: Map<string, Throttle>;
  /** Open alerts about mail that has no aligned provider, by cause. */
  unaligned: Set<string>;
  stateAt: number;
}

/** What all connections of one provider share. */
interface Watched {
  version: string;
  watch: BreakerWatch;
  window: Window | null;
}

interface Connected {
  version: string;
  connector: Connector;
}

/** The senders of workspaces, with kept connections. Shared by all drains of a process. */
export class SenderDirectory {
  private readonly workspaces = new Map<string, WorkspaceState>();
  private readonly watched = new Map<string, Watched>();
  /** By provider and, where it has dedicated IPs, by IP. */
  private readonly connections = new Map<string, Connected>();
  private readonly routes = new Map<string, string>();
  readonly usedUp: UsedUpLimits;
  private readonly hasInstallationSender: boolean;
  private readonly mxGroups: MxGroups;

  constructor(private readonly deps: ActivityDependencies) {
    this.hasInstallationSender = installationSmtp(deps.config) !== null;
    this.usedUp = new UsedUpLimits(deps.db);
    this.mxGroups = new MxGroups(deps.db, deps.log, deps.config.DNS_SERVERS);
  }

  /** The ways out of a request as they are now; the same plan as before while the same ones are open. */
  async plan(workspaceId: string, request: RouteRequest): Promise<RoutePlan> {
    const state = await this.state(workspaceId);
    const key = `${request.fromEmail} ${request.fixedProviderId} ${request.routing ? JSON.stringify(request.routing) : ''}`;
    let ways = state.ways.get(key);
    if (!ways) {
      ways = waysOf(request, state.senders, state.waysOut);
      state.ways.set(key, ways);
    }
    const now = performance.now();
    const states = ways.ways.map((way) => this.wayState(state.breakers, way, now));
    const known = state.plans.get(key);
    if (known?.refresh(ways, states)) return known;
    const plan = new RoutePlan(ways, states);
    state.plans.set(key, plan);
    return plan;
  }

  /** What a choice knows of a row: a hosted domain belongs to the mailbox provider that its MX records name. */
  recipientOf(plan: RoutePlan, row: DueRow): RouteRecipient {
    const address = row.email ?? row.address;
    if (!plan.ways.asksForGroup || row.mx_group !== 'other' || address === null) {
      return { deliveryId: row.id, mxGroup: row.mx_group };
    }
    return { deliveryId: row.id, mxGroup: this.mxGroups.groupOf(address.slice(address.lastIndexOf('@') + 1)) };
  }

  /** A way with its connections in this process and its route's id. */
  async open(way: Way, reason: string, probe: boolean): Promise<ChosenRoute> {
    const { sender, fromEmail, from, ip, caps } = way;
    const ipId = ip?.id ?? null;
    const key = `${sender.workspaceId} ${sender.providerId} ${fromEmail} ${ipId ?? ''}`;
    let routeId = this.routes.get(key);
    if (!routeId) {
      routeId = (await ensureRoute(this.deps.db, sender.workspaceId, sender.providerId, fromEmail, ipId)).routeId;
      this.routes.set(key, routeId);
    }
    const { watch, window } = this.watch(sender);
    const connector = this.connect(sender, ipId);
    const rateLimit = this.rateLimit(sender);
    return { sender, fromEmail, ip, from, routeId, reason, connector, watch, window, probe, rateLimit, caps };
  }

  private wayState(breakers: readonly BreakerRow[], way: Way, now: number): WayState {
    const { providerId } = way.sender;
    const usedUpUntil = this.usedUp.until(way.caps);
    if (usedUpUntil > now) return { blocked: { cause: 'CAPACITY', until: usedUpUntil }, probe: false };
    if (this.watched.get(providerId)?.watch.holdsBack(way)) {
      return { blocked: { cause: 'BREAKER_OPEN', until: now + TRIP_MS }, probe: false };
    }
    const probeInMs = probeIn(breakers, way);
    if (probeInMs === null || probeInMs === 0) return { blocked: null, probe: probeInMs === 0 };
    return { blocked: { cause: 'BREAKER_OPEN', until: now + probeInMs }, probe: false };
  }

  throttle(workspaceId: string, routeId: string, mxGroup: string): Throttle | null {
    return this.workspaces.get(workspaceId)?.throttles.get(`${routeId} ${mxGroup}`) ?? null;
  }

  rememberThrottle(workspaceId: string, routeId: string, mxGroup: string, throttle: Throttle | null): void {
    const throttles = this.workspaces.get(workspaceId)?.throttles;
    if (throttle) throttles?.set(`${routeId} ${mxGroup}`, throttle);
    else throttles?.delete(`${routeId} ${mxGroup}`);
  }

  /** The workspace's local date at a moment: the key of daily capacity. */
  localDate(workspaceId: string, at: Date): string {
    return localDate(this.workspaces.get(workspaceId)?.zone ?? 'UTC', at);
  }

  private zone(workspaceId: string): string {
    return this.workspaces.get(workspaceId)?.zone ?? 'UTC';
  }

  /** A cap of a route is used up; tried again at midnight, in a minute, or when it is seen to have units again. */
  exhaust(route: ChosenRoute, limit: CapacityLimit, now: Date): void {
    const { workspaceId } = route.sender;
    const untilMidnight = nextLocalMidnight(this.zone(workspaceId), now).getTime() - now.getTime();
    this.usedUp.note(workspaceId, limit, untilMidnight);
  }

  /** What the plan says about alignment: one alert while mail waits for want of it, resolved when it goes on. */
  noteAlignment(workspaceId: string, streamId: string, request: RouteRequest, isAligned: boolean): void {
    const open = this.workspaces.get(workspaceId)?.unaligned;
    if (!open || (isAligned && open.size === 0)) return;
    const domain = request.fromEmail.slice(request.fromEmail.lastIndexOf('@') + 1);
    const cause = [streamId, domain, request.fixedProviderId ?? []].flat().join('/');
    if (open.has(cause) !== isAligned) return;
    if (isAligned) open.delete(cause);
    else open.add(cause);
    const { db, log } = this.deps;
    const written = isAligned
      ? resolveUnalignedAlert(db, workspaceId, cause)
      : raiseUnalignedAlert(db, workspaceId, cause, { stream_id: streamId, from_domain: domain });
    written.catch((error: unknown) => log.warn({ err: error }, 'an alert about alignment could not be written'));
  }

  /** Breakers and throttles changed: look again at the next choice. */
  forget(workspaceId: string): void {
    const state = this.workspaces.get(workspaceId);
    if (state) state.stateAt = Number.NEGATIVE_INFINITY;
  }

  /** A drain begins: what woke its lane may be a change that is not among what is remembered. */
  lookAgain(workspaceId: string): void {
    const state = this.workspaces.get(workspaceId);
    if (state) state.sendersAt = Number.NEGATIVE_INFINITY;
    this.forget(workspaceId);
  }

  /** Begins nothing more and waits for answers. */
  async close(graceMs: number): Promise<void> {
    await Promise.all([...this.connections.values()].map(({ connector }) => connector.close(graceMs)));
    this.connections.clear();
  }

  private rateLimit(sender: Sender): RateLimit | null {
    if (sender.kind === 'provider') {
      const perSecond = sender.limits.perSecond;
      return perSecond === null
        ? null
        : { workspaceId: sender.workspaceId, kind: 'provider-second', resourceId: sender.providerId, perSecond };
    }
    const perMinute = this.deps.config.CAMPAIGN_SEND_RATE_PER_MINUTE;
    // One row for the installation: every workspace shares its fallback sender.
    return perMinute === undefined
      ? null
      : {
          workspaceId: INSTALLATION_PROVIDER_ID,
          kind: 'fallback-minute',
          resourceId: INSTALLATION_PROVIDER_ID,
          perSecond: perMinute / 60,
        };
  }

  private watch(sender: Sender): Watched {
    const version = versionOf(sender);
    const known = this.watched.get(sender.providerId);
    if (known?.version === version) return known;
    const size = sender.kind === 'provider' ? sender.settings.window : null;
    // Places taken for the former version are given back to the same window.
    const window = size === null ? null : known?.window?.size === size ? known.window : new Window(size);
    const made = { version, watch: new BreakerWatch(), window };
    this.watched.set(sender.providerId, made);
    return made;
  }

  private connect(sender: Sender, ipId: string | null): Connector {
    const key = ipId === null ? sender.providerId : `${sender.providerId} ${ipId}`;
    // What an IP changes of the settings is part of what the connections are made for.
    const version = ipId === null ? versionOf(sender) : throughIpVersion(sender);
    const known = this.connections.get(key);
    if (known?.version === version) return known.connector;
    void known?.connector.close(60_000);
    const connector = createSenderConnector(sender, this.deps.config);
    this.connections.set(key, { version, connector });
    return connector;
  }

  private async state(workspaceId: string): Promise<WorkspaceState> {
    const now = performance.now();
    let state = this.workspaces.get(workspaceId);
    if (!state) {
      const never = Number.NEGATIVE_INFINITY;
      state = {
        zone: 'UTC',
        senders: [],
        waysOut: { pools: new Map(), defaultPoolId: null, domains: new Map() },
        ways: new Map(),
        plans: new Map(),
        sendersAt: never,
        breakers: [],
        throttles: new Map(),
        unaligned: new Set(),
        stateAt: never,
      };
      this.workspaces.set(workspaceId, state);
    }
    if (now - state.sendersAt > SENDERS_MS) {
      // The day of its caps begins at another moment when the workspace moves.
      const { zone, unaligned } = await zoneAndUnaligned(this.deps.db, workspaceId);
      state.zone = zone;
      state.unaligned = new Set(unaligned);
      const [senders, waysOut] = await Promise.all([
        loadSenders(this.deps.db, workspaceId, this.deps.keyring, this.hasInstallationSender),
        loadWaysOut(this.deps.db, workspaceId),
      ]);
      await openIpCredentials(this.deps.db, workspaceId, this.deps.keyring, waysOut);
      state.senders = senders;
      state.waysOut = waysOut;
      state.ways = new Map();
      state.plans = new Map();
      state.sendersAt = now;
    }
    if (now - state.stateAt > STATE_MS) {
      const [breakers, throttles] = await Promise.all([
        openBreakers(this.deps.db, workspaceId),
        loadThrottles(this.deps.db, workspaceId, now),
        this.usedUp.lookAgain(workspaceId),
      ]);
      state.breakers = breakers;
      state.throttles = throttles;
      state.stateAt = now;
    }
    return state;
  }
}

/** When all breakers that bind a way may be probed, in milliseconds; null = they are closed. */
function probeIn(breakers: readonly BreakerRow[], way: Way): number | null {
  const open = breakers.filter((row) => row.providerId === way.sender.providerId && breakerBinds(row, way));
  return open.length === 0 ? null : Math.max(...open.map((breaker) => breaker.probeInMs));
}

const throughIpVersions = new WeakMap<Sender, string>();

/** Names a sender as told to use one of its IPs: settings and log-in are of the IP. Kept in memory only. */
function throughIpVersion(sender: Sender): string {
  if (sender.kind === 'installation') return versionOf(sender);
  let version = throughIpVersions.get(sender);
  if (version === undefined) {
    version = `${versionOf(sender)} ${JSON.stringify([sender.settings, sender.credentials])}`;
    throughIpVersions.set(sender, version);
  }
  return version;
}

/** Names a sender as it is now. The installation's connections are shared by all workspaces. */
function versionOf(sender: Sender): string {
  return sender.kind === 'provider' ? `${sender.providerId} ${sender.version}` : sender.providerId;
}
