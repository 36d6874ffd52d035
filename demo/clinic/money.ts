import { claims, codes, flag, maybe, pat, procedures, prov, type RowMaker } from './row-maker.ts';
import { date, money, name, never, note } from './words.ts';

/** Billing: claims, payments, plans and fees. */
export const moneyRows: Readonly<Record<string, RowMaker>> = {
  claim: {
    rows: claims,
    row: (r, id) => ({
      ClaimNum: id,
      PatNum: pat(r),
      DateService: date(-r.int(0, 900)),
      DateSent: r.chance(0.1) ? never(r) : date(-r.int(0, 900)),
      DateReceived: r.chance(0.4) ? never(r) : date(-r.int(0, 900)),
      ClaimStatus: r.pick(['W', 'S', 'R', 'H']),
      ClaimType: r.pick(['P', 'S', 'PreAuth']),
      PlanNum: r.int(1, 120),
      ClaimFee: money(r),
      InsPayEst: money(r),
      InsPayAmt: money(r),
      ReasonUnderPaid: '',
      ClaimNote: maybe(r, note(r, 5)),
    }),
  },
  claimproc: {
    rows: 6500,
    row: (r, id) => ({
      ClaimProcNum: id,
      ProcNum: r.int(1, procedures),
      ClaimNum: r.int(1, claims),
      PatNum: pat(r),
      FeeBilled: money(r),
      InsPayEst: money(r),
      InsPayAmt: r.chance(0.5) ? 0 : money(r) / 3,
      DedApplied: r.pick([-1, 0, 50]),
      Status: r.int(0, 8),
      PercentOverride: r.pick([-1, -1, 80, 100]),
      DateCP: r.chance(0.2) ? never(r) : date(-r.int(0, 900)),
      WriteOff: r.pick([-1, 0, 0.1 + 0.2]),
    }),
  },
  payment: {
    rows: 3000,
    row: (r, id) => ({
      PayNum: id,
      PayType: r.int(0, 9),
      PayDate: date(-r.int(0, 900)),
      PayAmt: r.chance(0.05) ? -money(r) : money(r),
      CheckNum: r.chance(0.5) ? '' : String(r.int(100, 9999)),
      PayNote: r.chance(0.8) ? '' : note(r),
      IsSplit: flag(r),
      PatNum: pat(r),
    }),
  },
  paysplit: {
    rows: 4500,
    row: (r, id) => ({
      SplitNum: id,
      SplitAmt: money(r),
      PatNum: pat(r),
      ProcDate: date(-r.int(0, 900)),
      PayNum: r.int(1, 3000),
      ProvNum: prov(r),
      ProcNum: r.int(0, procedures),
    }),
  },
  adjustment: {
    rows: 1200,
    row: (r, id) => ({
      AdjNum: id,
      AdjDate: date(-r.int(0, 900)),
      AdjAmt: -money(r, 100),
      PatNum: pat(r),
      AdjType: r.int(1, 30),
      ProvNum: prov(r),
      AdjNote: maybe(r, note(r)),
    }),
  },
  carrier: {
    rows: 40,
    row: (r, id) => ({
      CarrierNum: id,
      CarrierName: `${name(r)} Dental`,
      Phone: '',
      ElectID: String(r.int(10_000, 99_999)),
      IsHidden: flag(r),
      DiscountPercent: r.chance(0.5) ? null : `${r.int(-9, 99)}.${r.int(0, 9999)}`,
    }),
  },
  insplan: {
    rows: 120,
    row: (r, id) => ({
      PlanNum: id,
      GroupName: name(r),
      GroupNum: String(r.int(1, 99_999)),
      PlanNote: maybe(r, note(r, 30)),
      FeeSched: r.int(0, 5),
      PlanType: r.pick(['', 'p', 'f', 'c']),
      CarrierNum: r.int(1, 40),
      IsMedical: flag(r),
    }),
  },
  inssub: {
    rows: 1400,
    row: (r, id) => ({
      InsSubNum: id,
      PlanNum: r.int(1, 120),
      Subscriber: pat(r),
      DateEffective: never(r),
      DateTerm: r.chance(0.9) ? '0000-00-00' : date(r.int(-300, 300)),
      SubscriberID: `S${r.int(1e6, 9e6)}`,
      BenefitNotes: maybe(r, note(r)),
    }),
  },
  patplan: {
    rows: 1600,
    row: (r, id) => ({
      PatPlanNum: id,
      PatNum: pat(r),
      Ordinal: r.int(1, 3),
      IsPending: flag(r),
      Relationship: r.int(0, 8),
      InsSubNum: r.int(1, 1400),
    }),
  },
  fee: {
    rows: codes * 5,
    row: (r, id) => ({
      FeeSched: Math.floor((id - 1) / codes) + 1,
      CodeNum: ((id - 1) % codes) + 1,
      ClinicNum: 0,
      Amount: money(r, 1500),
      UseDefaultFee: flag(r),
    }),
  },
  feesched: {
    rows: 5,
    row: (r, id) => ({
      FeeSchedNum: id,
      Description: `Schedule ${name(r)}`,
      ItemOrder: id,
      IsHidden: flag(r),
    }),
  },
  familybalance: {
    rows: 600,
    row: (r, id) => ({
      PatNum: id * 3,
      Bal_0_30: money(r),
      BalOver90: money(r),
      BalTotal: money(r),
    }),
  },
};
