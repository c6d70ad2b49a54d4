import type { SendOutcome } from '../../channels/connector';
import { closeBreaker, failProbe, openBreaker } from '../../db/delivery/breakers';
import { suppressRefused } from '../../db/delivery/suppress';
import { storeThrottle } from '../../db/delivery/throttles';
import { slowDown, speedUp, type Trip } from '../../domain/delivery';
import { redactAddresses } from '../../platform/log';
import type { ActivityDependencies } from '../dependencies';
import type { Claimed } from './claim-group';
import type { ChosenRoute, SenderDirectory } from './sender-directory';

/** Accepted messages of a throttled pair between two raises of its rate. */
const RAISE_EVERY = 10;

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
  observe(claimed: Claimed, route: ChosenRoute, outcome: SendOutcome, suppress: boolean): void {
    const work: Promise<void>[] = [];
    const trip = route.watch.observe(claimed.row.id, outcome);
    if (suppress) work.push(this.afterEarlier(route, () => this.suppress(claimed, route, outcome)));
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

  private judgeProbe(claimed: Claimed, route: ChosenRoute, outcome: SendOutcome, work: Promise<void>[]): void {
    const { workspaceId, providerId } = route.sender;
    if (outcome.kind === 'accepted' || outcome.kind === 'transient') {
      work.push(closeBreaker(this.deps.db, workspaceId, providerId).then(() => this.directory.forget(workspaceId)));
    } else if (outcome.kind === 'permanent') {
      const probe = { workspaceId, providerId, deliveryId: claimed.row.id };
      work.push(
        this.afterEarlier(route, async () => {
          const state = await failProbe(this.deps.db, probe);
          this.deps.log.warn({ workspaceId, providerId, state }, 'the probe of a breaker was refused for good');
          this.directory.forget(workspaceId);
        }),
      );
    } else if (outcome.kind === 'unavailable') {
      const reason = (
        { authentication: 'AUTHENTICATION', tls: 'TLS', connect: 'CONNECT', protocol: 'PROTOCOL' } as const
      )[outcome.cause];
      work.push(this.open(route, { reason, sample: [] }));
    }
  }

  private async open(route: ChosenRoute, trip: Trip): Promise<void> {
    const { workspaceId, providerId } = route.sender;
    this.deps.log.warn({ workspaceId, providerId, reason: trip.reason }, 'breaker opened');
    try {
      await openBreaker(this.deps.db, { workspaceId, providerId, ...trip });
    } finally {
      // The row is read again before the next choice, so that nothing slips through between the two.
      this.directory.forget(workspaceId);
      route.watch.stored();
    }
  }

  private async suppress({ row }: Claimed, route: ChosenRoute, outcome: SendOutcome): Promise<void> {
    if (outcome.kind !== 'permanent' || !row.email_hash) return;
    const domain = (row.email ?? '').split('@').at(-1) ?? '';
    await suppressRefused(this.deps.db, {
      workspaceId: route.sender.workspaceId,
      sourceId: row.source_id,
      deliveryId: row.id,
      contactId: row.contact_id,
      addressHash: row.email_hash,
      hint: `…@${domain}`,
      providerId: route.sender.providerId,
      smtpCode: outcome.code,
      enhancedCode: outcome.enhanced,
    });
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
