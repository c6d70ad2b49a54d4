import type { Connector } from '../../channels/connector';
import { type BreakerRow, openBreakers } from '../../db/delivery/breakers';
import type { RateLimit } from '../../db/delivery/capacity';
import { loadThrottles } from '../../db/delivery/throttles';
import { CredentialsError, ensureRoute, loadSenders } from '../../db/senders';
import { BreakerWatch, type CapacityLimit, type Throttle } from '../../domain/delivery';
import { INSTALLATION_PROVIDER_ID, type Sender } from '../../domain/senders';
import { localDate, nextLocalMidnight } from '../../domain/shared/zones';
import { one, sql } from '../../platform/postgres';
import type { ActivityDependencies } from '../dependencies';
import { createSenderConnector, installationSmtp } from '../senders';
import { Window } from './window';

/** How long senders, breakers and throttles may be remembered; every claim is bound by the capacity rows anyway. */
const SENDERS_MS = 1_000;
const STATE_MS = 500;
/** How soon a provider whose breaker is just being opened is looked at again. */
const TRIP_MS = 100;

/** What one message takes: a sender, its route for the From address, and its connections in this process. */
export interface ChosenRoute {
  sender: Sender;
  fromEmail: string;
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

/** Nothing can be sent from this address now. */
export interface NoRoute {
  /** Milliseconds until it is worth another look. */
  retryInMs: number;
  cause: 'NO_SENDER' | 'BREAKER_OPEN' | 'CAPACITY';
}

interface WorkspaceState {
  zone: string;
  senders: Sender[];
  sendersAt: number;
  /** Those that are not closed. */
  breakers: readonly BreakerRow[];
  throttles: Map<string, Throttle>;
  stateAt: number;
}

interface Connected {
  version: string;
  connector: Connector;
  watch: BreakerWatch;
  window: Window | null;
}

/** The senders of workspaces, with kept connections. Shared by all drains of a process. */
export class SenderDirectory {
  private readonly workspaces = new Map<string, WorkspaceState>();
  private readonly connections = new Map<string, Connected>();
  private readonly routes = new Map<string, string>();
  /** Routes with a cap that is used up (a raised limit is another version), until when (monotonic) not to ask. */
  private readonly exhausted = new Map<string, number>();
  private readonly hasInstallationSender: boolean;

  constructor(private readonly deps: ActivityDependencies) {
    this.hasInstallationSender = installationSmtp(deps.config) !== null;
  }

  /** The best sender whose breaker lets a message pass, or why there is none. */
  async choose(
    workspaceId: string,
    fromEmail: string,
    fixedProviderId: string | null = null,
  ): Promise<ChosenRoute | NoRoute> {
    const state = await this.state(workspaceId);
    let soonest: number | null = null;
    for (const [position, sender] of state.senders.entries()) {
      if (fixedProviderId !== null && sender.providerId !== fixedProviderId) continue;
      const usedUpUntil = Math.max(
        this.exhausted.get(versionOf(sender)) ?? 0,
        this.exhausted.get(`${versionOf(sender)} ${fromEmail}`) ?? 0,
      );
      const usedUpForMs = usedUpUntil - performance.now();
      if (usedUpForMs > 0) return { cause: 'CAPACITY', retryInMs: usedUpForMs };
      if (this.connections.get(sender.providerId)?.watch.holdsBack(fromEmail)) {
        soonest = Math.min(soonest ?? Number.POSITIVE_INFINITY, TRIP_MS);
        continue;
      }
      const probeInMs = probeIn(state.breakers, sender.providerId, fromEmail);
      if (probeInMs === null)
        return this.route(
          sender,
          fromEmail,
          fixedProviderId !== null ? 'mailbox' : position === 0 ? 'first in order' : 'earlier ones have open breakers',
          false,
        );
      if (probeInMs === 0) return this.route(sender, fromEmail, 'probe of an open breaker', true);
      soonest = Math.min(soonest ?? Number.POSITIVE_INFINITY, probeInMs);
    }
    return soonest === null ? { cause: 'NO_SENDER', retryInMs: 30_000 } : { cause: 'BREAKER_OPEN', retryInMs: soonest };
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

  /** A cap of a route is used up; looked at again at midnight, or in a minute, since units may come back. */
  exhaust(route: ChosenRoute, limit: CapacityLimit, now: Date): void {
    const { sender, fromEmail } = route;
    const untilMidnight = nextLocalMidnight(this.zone(sender.workspaceId), now).getTime() - now.getTime();
    const ofProvider = limit.kind === 'provider-day' || limit.kind === 'provider-hour';
    const key = ofProvider ? versionOf(sender) : `${versionOf(sender)} ${fromEmail}`;
    this.exhausted.set(key, performance.now() + Math.min(untilMidnight, 60_000));
  }

  /** Breakers and throttles changed: look again at the next choice. */
  forget(workspaceId: string): void {
    const state = this.workspaces.get(workspaceId);
    if (state) state.stateAt = Number.NEGATIVE_INFINITY;
  }

  /** Begins nothing more and waits for answers. */
  async close(graceMs: number): Promise<void> {
    await Promise.all([...this.connections.values()].map(({ connector }) => connector.close(graceMs)));
    this.connections.clear();
  }

  private async route(sender: Sender, fromEmail: string, reason: string, probe: boolean): Promise<ChosenRoute> {
    const key = `${sender.workspaceId} ${sender.providerId} ${fromEmail}`;
    let routeId = this.routes.get(key);
    if (!routeId) {
      routeId = (await ensureRoute(this.deps.db, sender.workspaceId, sender.providerId, fromEmail)).routeId;
      this.routes.set(key, routeId);
    }
    const { connector, watch, window } = this.connect(sender);
    const rateLimit = this.rateLimit(sender);
    return { sender, fromEmail, routeId, reason, connector, watch, window, probe, rateLimit, caps: capsOf(sender) };
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

  private connect(sender: Sender): Connected {
    const version = versionOf(sender);
    const known = this.connections.get(sender.providerId);
    if (known?.version === version) return known;
    void known?.connector.close(60_000);
    const size = sender.kind === 'provider' ? sender.settings.window : null;
    // Places taken for the former version are given back to the same window.
    const window = size === null ? null : known?.window?.size === size ? known.window : new Window(size);
    const connector = createSenderConnector(sender, this.deps.config);
    const made = { version, connector, watch: new BreakerWatch(), window };
    this.connections.set(sender.providerId, made);
    return made;
  }

  private async state(workspaceId: string): Promise<WorkspaceState> {
    const now = performance.now();
    let state = this.workspaces.get(workspaceId);
    if (!state) {
      const never = Number.NEGATIVE_INFINITY;
      state = {
        zone: 'UTC',
        senders: [],
        sendersAt: never,
        breakers: [],
        throttles: new Map(),
        stateAt: never,
      };
      this.workspaces.set(workspaceId, state);
    }
    if (now - state.sendersAt > SENDERS_MS) {
      // The day of its caps begins at another moment when the workspace moves.
      state.zone = await this.timeZone(workspaceId);
      state.senders = await this.loadSenders(workspaceId);
      state.sendersAt = now;
    }
    if (now - state.stateAt > STATE_MS) {
      const [breakers, throttles] = await Promise.all([
        openBreakers(this.deps.db, workspaceId),
        loadThrottles(this.deps.db, workspaceId, now),
      ]);
      state.breakers = breakers;
      state.throttles = throttles;
      state.stateAt = now;
    }
    return state;
  }

  private async timeZone(workspaceId: string): Promise<string> {
    const row = await one<{ time_zone: string }>(
      this.deps.db,
      sql`SELECT time_zone FROM workspaces WHERE id = ${workspaceId}`,
    );
    return row?.time_zone ?? 'UTC';
  }

  private async loadSenders(workspaceId: string): Promise<Sender[]> {
    try {
      return await loadSenders(this.deps.db, workspaceId, this.deps.keyring, this.hasInstallationSender);
    } catch (error) {
      if (!(error instanceof CredentialsError)) throw error;
      this.deps.log.error({ err: error, workspaceId }, 'a provider cannot be used');
      return [];
    }
  }
}

/** When the breakers of a provider and of this sender at it may be probed, in milliseconds; null = both are closed. */
function probeIn(breakers: readonly BreakerRow[], providerId: string, fromEmail: string): number | null {
  const open = breakers.filter(
    (breaker) => breaker.providerId === providerId && (breaker.fromEmail === null || breaker.fromEmail === fromEmail),
  );
  return open.length === 0 ? null : Math.max(...open.map((breaker) => breaker.probeInMs));
}

function capsOf(sender: Sender): CapacityLimit[] {
  if (sender.kind === 'installation') return [];
  const caps: CapacityLimit[] = [];
  const { perDay, per24Hours } = sender.limits;
  if (perDay !== null) caps.push({ kind: 'provider-day', resourceId: sender.providerId, limit: perDay });
  if (per24Hours !== null) caps.push({ kind: 'provider-hour', resourceId: sender.providerId, limit: per24Hours });
  return caps;
}

/** Names a sender as it is now. The installation's connections are shared by all workspaces. */
function versionOf(sender: Sender): string {
  return sender.kind === 'provider' ? `${sender.providerId} ${sender.version}` : sender.providerId;
}
