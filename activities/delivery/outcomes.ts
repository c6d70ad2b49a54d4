import type { SendOutcome } from '../../channels/connector';
import {
  type BreakerRoute,
  closeBreaker,
  closeProviderBreaker,
  failProbe,
  openBreaker,
} from '../../db/delivery/breakers';
import { noteSoftBounce } from '../../db/delivery/soft-bounce';
import { type RefusedAddress, suppressRefused } from '../../db/delivery/suppress';
import { storeThrottle } from '../../db/delivery/throttles';
import { type Settlement, slowDown, speedUp, type Trip } from '../../domain/delivery';
import { redactAddresses } from '../../platform/log';
import type { ActivityDependencies } from '../dependencies';
import type { Claimed } from './claim-group';
import type { ChosenRoute, SenderDirectory } from './sender-directory';

/** Accepted messages of a throttled pair between two raises of its rate. */
const RAISE_EVERY = 10;

const UNAVAILABLE = { authentication: 'AUTHENTICATION', tls: 'TLS', connect: 'CONNECT', protocol: 'PROTOCOL' } as const;

function breakerRouteOf({ sender, routeId, ip }: ChosenRoute): BreakerRoute {
  return { workspaceId: sender.workspaceId, providerId: sender.providerId, routeId, ip };
}

/** What an outcome means beyond its own row: breaker, throttle, suppression. */
export class OutcomeEffects {
  private readonly acceptedSinceRaise = new Map<string, number>();
  /** Last suppression or trip of each provider, see `afterEarlier`. */
  private readonly last = new Map<string, Promise<unknown>>();

  constructor(
    private readonly deps: ActivityDependencies,
    private readonly directory: SenderDirectory,
  ) {}

  /** Called once per outcome. Failing to record an effect is logged and never touches the row's settlement. */
  observe(claimed: Claimed, route: ChosenRoute, outcome: SendOutcome, settlement: Settlement): void {
    const work: Promise<void>[] = [];
    const trip = route.watch.observe(claimed.row.id, outcome, route);
    if (settlement.suppress) work.push(this.afterEarlier(route, () => this.suppress(claimed, route, outcome)));
    // "Later" until the last try: one soft bounce of this address.
    if (outcome.kind === 'transient' && settlement.status === 'FAILED') {
      work.push(this.afterEarlier(route, () => this.softBounce(claimed, route, outcome)));
    }
    if (trip) work.push(this.afterEarlier(route, () => this.open(route, trip)));
    if (route.probe && !trip) this.judgeProbe(claimed, route, outcome, work);
    if (outcome.kind === 'throttled') work.push(this.slowDown(claimed, route, outcome.retryAfterMs));
    if (outcome.kind === 'accepted') this.raise(claimed, route, work);
    for (const effect of work) {
      effect.catch((error: unknown) =>
        this.deps.log.error({ err: error }, 'an effect of an outcome could not be recorded'),
      );
    }
  }

  /**
   * Suppressions and trips of a provider are written in the order of their outcomes: those of a sample before the trip
   * that holds them, and those that come after it when the breaker is seen open, so that they are held, too.
   */
  private afterEarlier(route: ChosenRoute, effect: () => Promise<void>): Promise<void> {
    const key = `${route.sender.workspaceId} ${route.sender.providerId}`;
    const result = (this.last.get(key) ?? Promise.resolve()).then(effect);
    const settled = result.catch(() => undefined);
    this.last.set(key, settled);
    void settled.then(() => {
      if (this.last.get(key) === settled) this.last.delete(key);
    });
    return result;
  }

  /** The server's words for delivery_attempts, without addresses. */
  static diagnostic(outcome: SendOutcome): string {
    switch (outcome.kind) {
      case 'not-sent':
      case 'unknown':
        return outcome.cause;
      case 'accepted':
      case 'throttled':
      case 'transient':
      case 'permanent':
      case 'unavailable':
        return redactAddresses(outcome.reply).slice(0, 500);
    }
  }

  /**
   * Whether the mail server can be used again. That it puts a recipient off proves it for the provider, but not for a
   * sender whose recipients were refused: there only an acceptance does, else the next sample would be burnt.
   */
  private judgeProbe(claimed: Claimed, route: ChosenRoute, outcome: SendOutcome, work: Promise<void>[]): void {
    switch (outcome.kind) {
      case 'accepted':
        work.push(this.answered(route, () => closeBreaker(this.deps.db, breakerRouteOf(route))));
        return;
      case 'transient':
      case 'throttled':
        work.push(this.answered(route, () => closeProviderBreaker(this.deps.db, breakerRouteOf(route))));
        return;
      case 'permanent':
        work.push(
          this.answered(route, async () => {
            const probe = { ...breakerRouteOf(route), deliveryId: claimed.row.id };
            const state = await failProbe(this.deps.db, probe);
            this.deps.log.warn({ ...breakerRouteOf(route), state }, 'the probe of a breaker was refused for good');
          }),
        );
        return;
      case 'unavailable':
        work.push(this.open(route, { reason: UNAVAILABLE[outcome.cause], sample: [] }));
        return;
      case 'not-sent':
      case 'unknown':
        return;
    }
  }

  private answered(route: ChosenRoute, write: () => Promise<void>): Promise<void> {
    return this.afterEarlier(route, async () => {
      await write();
      this.directory.forget(route.sender.workspaceId);
    });
  }

  private async open(route: ChosenRoute, trip: Trip): Promise<void> {
    const { workspaceId, providerId } = route.sender;
    this.deps.log.warn({ workspaceId, providerId, reason: trip.reason }, 'breaker opened');
    try {
      await openBreaker(this.deps.db, { ...breakerRouteOf(route), ...trip });
    } finally {
      // The row is read again before the next choice, so that nothing slips through between the two.
      this.directory.forget(workspaceId);
      route.watch.stored(trip, route);
    }
  }

  private async suppress(claimed: Claimed, route: ChosenRoute, outcome: SendOutcome): Promise<void> {
    const refused = outcome.kind === 'permanent' ? refusal(claimed, route, outcome) : null;
    if (refused) await this.deps.db.transaction((tx) => suppressRefused(tx, refused));
  }

  private async softBounce(claimed: Claimed, route: ChosenRoute, outcome: SendOutcome): Promise<void> {
    const refused = outcome.kind === 'transient' ? refusal(claimed, route, outcome) : null;
    if (refused) await noteSoftBounce(this.deps.db, refused);
  }

  private async slowDown({ candidate }: Claimed, route: ChosenRoute, retryAfterMs: number | null): Promise<void> {
    const { workspaceId } = route.sender;
    const mxGroup = candidate.due.mx_group;
    const current = this.directory.throttle(workspaceId, route.routeId, mxGroup);
    const now = performance.now();
    const throttle = slowDown(current, now, retryAfterMs);
    this.directory.rememberThrottle(workspaceId, route.routeId, mxGroup, throttle);
    await storeThrottle(this.deps.db, { workspaceId, routeId: route.routeId, mxGroup }, throttle, now);
  }

  private raise({ candidate }: Claimed, route: ChosenRoute, work: Promise<void>[]): void {
    const { workspaceId } = route.sender;
    const mxGroup = candidate.due.mx_group;
    const current = this.directory.throttle(workspaceId, route.routeId, mxGroup);
    if (!current) return;
    const key = `${route.routeId} ${mxGroup}`;
    const accepted = (this.acceptedSinceRaise.get(key) ?? 0) + 1;
    this.acceptedSinceRaise.set(key, accepted % RAISE_EVERY);
    if (accepted < RAISE_EVERY) return;
    const raised = speedUp(current, accepted);
    this.directory.rememberThrottle(workspaceId, route.routeId, mxGroup, raised);
    work.push(storeThrottle(this.deps.db, { workspaceId, routeId: route.routeId, mxGroup }, raised, performance.now()));
  }
}

/** Whose address a refusal is about; null where it is not known by its hash. */
function refusal(
  { row }: Claimed,
  route: ChosenRoute,
  outcome: Extract<SendOutcome, { kind: 'permanent' | 'transient' }>,
): RefusedAddress | null {
  if (!row.email_hash) return null;
  return {
    workspaceId: route.sender.workspaceId,
    sourceId: row.source_id,
    deliveryId: row.id,
    contactId: row.contact_id,
    addressHash: row.email_hash,
    hint: `…@${(row.email ?? '').split('@').at(-1) ?? ''}`,
    providerId: route.sender.providerId,
    routeId: route.routeId,
    smtpCode: outcome.code,
    enhancedCode: outcome.enhanced,
  };
}
