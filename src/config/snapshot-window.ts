/** The hours of the day in which a snapshot may read. If `to` is earlier than `from`, the window spans midnight. */
export interface SnapshotWindow {
  /** Minutes since midnight. */
  readonly from: number;
  readonly to: number;
  /** IANA name; undefined: the zone of this machine. */
  readonly zone: string | undefined;
}

const form = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)(?: +(\S+))?$/;

/** Parses `21:00-06:00` or `21:00-06:00 America/Chicago`; null: the text is not a window, or the zone is unknown. */
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

/** Whether the wall clock of the zone is within the window at `instant`. */
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
