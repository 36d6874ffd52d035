/** The hours of the day in which a snapshot may read. `to` may be earlier than `from`: over midnight. */
export interface SnapshotWindow {
  /** Minutes since midnight. */
  readonly from: number;
  readonly to: number;
  /** IANA name; undefined: the zone of this machine. */
  readonly zone: string | undefined;
}

const form = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)(?: +(\S+))?$/;

/** Reads `21:00-06:00` or `21:00-06:00 America/Chicago`; null: it is none, or there is no such zone. */
export function parseWindow(text: string): SnapshotWindow | null {
  const [, fromHour, fromMinute, toHour, toMinute, zone] = form.exec(text.trim()) ?? [];
  if (fromHour === undefined) return null;
  const from = Number(fromHour) * 60 + Number(fromMinute);
  const to = Number(toHour) * 60 + Number(toMinute);
  if (from === to || (zone !== undefined && !isZone(zone))) return null;
  return { from, to, zone };
}

function isZone(zone: string): boolean {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: zone }).resolvedOptions().timeZone !== '';
  } catch {
    return false;
  }
}

/** Whether the clock on the wall stands within the window at `instant`. */
export function isOpen({ from, to, zone }: SnapshotWindow, instant: Date): boolean {
  const parts = new Intl.DateTimeFormat('en-GB', {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(zone === undefined ? {} : { timeZone: zone }),
  }).formatToParts(instant);
  const part = (type: 'hour' | 'minute') => Number(parts.find((one) => one.type === type)?.value);
  const now = part('hour') * 60 + part('minute');
  return from < to ? now >= from && now < to : now >= from || now < to;
}
