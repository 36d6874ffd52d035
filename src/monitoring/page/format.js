// Numbers, sizes and times as text.

export const whole = new Intl.NumberFormat();
export const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 2 });

export function inBytes(bytes) {
  if (bytes === null) return '–';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  let amount = bytes;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit++;
  }
  return `${amount < 10 && unit > 0 ? amount.toFixed(1) : Math.round(amount)} ${units[unit]}`;
}

export function inTime(seconds) {
  if (seconds === null) return '–';
  if (seconds < 10) return `${Math.round(seconds * 10) / 10} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} days`;
}

export function plural(count, what) {
  return `${whole.format(count)} ${what}${count === 1 ? '' : 's'}`;
}

export function timeOf(text) {
  return new Date(text).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' });
}
