import { codes, color, flag, maybe, pat, prov, type RowMaker } from './row-maker.ts';
import { date, dateTime, latinNote, money, name, never, note } from './words.ts';

/** The practice itself: people, rooms, settings and the log of user actions. */
export const officeRows: Readonly<Record<string, RowMaker>> = {
  procedurecode: {
    rows: codes,
    row: (r, id) => ({
      CodeNum: id,
      ProcCode: `X${String(id * 7).padStart(4, '0')}`,
      Descript: note(r, 4),
      AbbrDesc: note(r, 1),
      ProcTime: '/X/',
      TreatArea: r.int(0, 7),
      IsHygiene: flag(r),
      GraphicColor: color(r),
      DefaultNote: maybe(r, note(r, 40)),
    }),
  },
  provider: {
    rows: 12,
    row: (r, id) => ({
      ProvNum: id,
      Abbr: `P${id}`,
      LName: name(r),
      FName: name(r),
      IsSecondary: flag(r),
      ProvColor: color(r),
      HourlyProdGoalAmt: r.int(0, 900),
      Birthdate: '0001-01-01',
    }),
  },
  operatory: {
    rows: 8,
    row: (r, id) => ({
      OperatoryNum: id,
      OpName: `Op ${id}`,
      ItemOrder: id === 8 ? 65_535 : id,
      IsHygiene: flag(r),
      ProvDentist: prov(r),
    }),
  },
  schedule: {
    rows: 1200,
    row: (r, id) => ({
      ScheduleNum: id,
      SchedDate: date(r.int(-200, 90)),
      StartTime: '08:00:00',
      StopTime: '17:30:00',
      ProvNum: prov(r),
      AdjHours: r.pick([null, '-01:30:00.250', '-00:00:00.100', '838:59:59', '00:45:00']),
      Note: maybe(r, note(r, 2)),
      Status: r.int(-1, 2),
    }),
  },
  definition: {
    rows: 150,
    row: (r, id) => ({
      DefNum: id,
      Category: r.pick([0, 7, 50, 200, 255]),
      ItemOrder: id,
      ItemName: note(r, 1),
      ItemValue: note(r, 1),
      ItemColor: color(r),
      IsHidden: flag(r),
    }),
  },
  preference: {
    rows: 200,
    row: (r, id) => ({
      PrefName: `${r.pick(['Appt', 'Billing', 'Claim', 'Größe'])}Setting${id}`,
      ValueString: r.pick(['0', '1', '', note(r, 3)]),
      Comments: null,
    }),
  },
  securitylog: {
    rows: 6000,
    row: (r, id) => ({
      SecurityLogNum: id,
      PermType: r.int(0, 220),
      UserNum: r.int(1, 20),
      LogDateTime: dateTime(-r.int(0, 400), r),
      LogText: note(r),
      PatNum: pat(r),
      CompName: `DESK-${r.int(1, 9)}`,
      FKey: r.chance(0.5) ? null : r.bigint(63),
      DateTPrevious: r.chance(0.5) ? null : `${dateTime(-r.int(0, 400), r)}.${r.int(0, 999_999)}`,
    }),
  },
  equipment: {
    rows: 40,
    row: (r, id) => ({
      EquipmentNum: id,
      Description: latinNote(r),
      SerialNumber: String(r.int(1, 1e9)),
      ModelYear: r.pick([null, '19', '07']),
      DatePurchased: r.chance(0.3) ? never(r) : date(-r.int(1, 5000)),
      PurchaseCost: money(r),
      MarketValue: money(r),
      Location: maybe(r, latinNote(r)),
    }),
  },
};
