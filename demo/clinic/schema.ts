/**
 * The tables of a small dental practice whose software is twenty years old: CamelCase columns, bigint keys without foreign keys,
 * mostly MyISAM, money as double, `0001-01-01` or a zero date for "never", flags in tinyint of either sign. The statements run on
 * MariaDB and on MySQL with `sql_mode = ''`.
 */
export const clinicTables: readonly string[] = [
  `create table patient (
     PatNum bigint not null auto_increment primary key,
     LName varchar(100) not null default '',
     FName varchar(100) not null default '',
     Preferred varchar(100) not null default '',
     PatStatus tinyint unsigned not null default 0,
     Gender tinyint not null default 0,
     Birthdate date not null default '0001-01-01',
     Address varchar(100) not null default '',
     City varchar(100) not null default '',
     HmPhone varchar(30) not null default '',
     Email varchar(100) not null default '',
     Guarantor bigint not null,
     PriProv bigint not null default 0,
     FeeSched bigint not null default 0,
     EstBalance double not null default 0,
     Bal_0_30 double not null default 0,
     BalOver90 double not null default 0,
     InsEst double not null default 0,
     CreditType char(1) not null default '',
     DateFirstVisit date not null default '0001-01-01',
     AskToArriveEarly int not null default 0,
     TxtMsgOk tinyint not null default 0,
     PopupNote mediumtext null,
     DateTStamp timestamp not null default current_timestamp on update current_timestamp,
     key LName (LName, FName), key Guarantor (Guarantor)
   ) engine=MyISAM default charset=utf8mb3`,
  `create table appointment (
     AptNum bigint not null auto_increment primary key,
     PatNum bigint not null,
     AptStatus tinyint unsigned not null default 0,
     Pattern varchar(255) not null default '/XX/',
     Confirmed bigint not null default 0,
     Op bigint not null default 0,
     Note text null,
     ProvNum bigint not null default 0,
     AptDateTime datetime not null default '0001-01-01 00:00:00',
     DateTimeArrived datetime not null default '0000-00-00 00:00:00',
     IsNewPatient tinyint unsigned not null default 0,
     IsHygiene tinyint unsigned not null default 0,
     ProcDescript varchar(255) not null default '',
     DateTStamp timestamp not null default current_timestamp on update current_timestamp,
     key PatNum (PatNum), key AptDateTime (AptDateTime)
   ) engine=MyISAM default charset=utf8mb3`,
  `create table procedurelog (
     ProcNum bigint not null auto_increment primary key,
     PatNum bigint not null,
     AptNum bigint not null default 0,
     ProcDate date not null default '0001-01-01',
     ProcFee double not null default 0,
     Surf varchar(10) not null default '',
     ToothNum varchar(2) character set utf8mb3 collate utf8mb3_bin null,
     ProcStatus tinyint unsigned not null default 0,
     ProvNum bigint not null default 0,
     Dx bigint null,
     CodeNum bigint not null,
     DateEntryC date not null default '0000-00-00',
     ProcTime time not null default '00:00:00',
     UnitQty int not null default 1,
     Discount double not null default 0,
     HideGraphics tinyint not null default 0,
     BillingNote text null,
     SecDateEntry date not null default '0001-01-01',
     key PatNum (PatNum), key ProcDate (ProcDate)
   ) engine=MyISAM default charset=utf8mb3`,
  `create table procedurecode (
     CodeNum bigint not null auto_increment primary key,
     ProcCode varchar(15) character set utf8mb3 collate utf8mb3_bin not null,
     Descript varchar(255) not null default '',
     AbbrDesc varchar(50) not null default '',
     ProcTime varchar(24) not null default '/X/',
     TreatArea tinyint unsigned not null default 0,
     IsHygiene tinyint unsigned not null default 0,
     GraphicColor int not null default 0,
     DefaultNote text null,
     unique key ProcCode (ProcCode)
   ) engine=MyISAM default charset=utf8mb3`,
  `create table procnote (
     ProcNoteNum bigint not null auto_increment primary key,
     ProcNum bigint not null,
     EntryDateTime datetime not null,
     UserNum bigint not null,
     Note text character set utf8mb4 null,
     Signature longtext null
   ) engine=MyISAM default charset=utf8mb3`,
  `create table claim (
     ClaimNum bigint not null auto_increment primary key,
     PatNum bigint not null,
     DateService date not null default '0001-01-01',
     DateSent date not null default '0001-01-01',
     DateReceived date not null default '0001-01-01',
     ClaimStatus char(1) not null default 'W',
     ClaimType varchar(255) not null default 'P',
     PlanNum bigint not null,
     ClaimFee double not null default 0,
     InsPayEst double not null default 0,
     InsPayAmt double not null default 0,
     ReasonUnderPaid varchar(255) not null default '',
     ClaimNote varchar(400) null
   ) engine=MyISAM default charset=utf8mb3`,
  `create table claimproc (
     ClaimProcNum bigint not null auto_increment primary key,
     ProcNum bigint not null,
     ClaimNum bigint not null,
     PatNum bigint not null,
     FeeBilled double not null default 0,
     InsPayEst double not null default 0,
     InsPayAmt double not null default 0,
     DedApplied double not null default 0,
     Status tinyint unsigned not null default 0,
     PercentOverride tinyint not null default -1,
     DateCP date not null default '0001-01-01',
     WriteOff double not null default 0,
     key ClaimNum (ClaimNum), key ProcNum (ProcNum)
   ) engine=MyISAM default charset=utf8mb3`,
  `create table payment (
     PayNum bigint not null auto_increment primary key,
     PayType bigint not null default 0,
     PayDate date not null default '0001-01-01',
     PayAmt double not null default 0,
     CheckNum varchar(25) not null default '',
     PayNote text not null,
     IsSplit tinyint unsigned not null default 0,
     PatNum bigint not null,
     SecDateTEdit timestamp not null default current_timestamp on update current_timestamp
   ) engine=InnoDB default charset=utf8mb3`,
  `create table paysplit (
     SplitNum bigint not null auto_increment primary key,
     SplitAmt double not null default 0,
     PatNum bigint not null,
     ProcDate date not null default '0001-01-01',
     PayNum bigint not null,
     ProvNum bigint not null default 0,
     ProcNum bigint not null default 0,
     key PayNum (PayNum)
   ) engine=InnoDB default charset=utf8mb3`,
  `create table adjustment (
     AdjNum bigint not null auto_increment primary key,
     AdjDate date not null default '0001-01-01',
     AdjAmt double not null default 0,
     PatNum bigint not null,
     AdjType bigint not null default 0,
     ProvNum bigint not null default 0,
     AdjNote text null,
     SecDateTEdit timestamp(3) not null default current_timestamp(3) on update current_timestamp(3)
   ) engine=MyISAM default charset=utf8mb3`,
  `create table commlog (
     CommlogNum bigint not null auto_increment primary key,
     PatNum bigint not null,
     CommDateTime datetime not null default '0001-01-01 00:00:00',
     CommType bigint not null default 0,
     Note text character set utf8mb4 null,
     Mode_ tinyint unsigned not null default 0,
     SentOrReceived tinyint unsigned not null default 0,
     UserNum bigint not null default 0,
     key PatNum (PatNum)
   ) engine=MyISAM default charset=utf8mb3`,
  `create table carrier (
     CarrierNum bigint not null auto_increment primary key,
     CarrierName varchar(255) not null default '',
     Phone varchar(255) not null default '',
     ElectID varchar(255) not null default '',
     IsHidden tinyint unsigned not null default 0,
     DiscountPercent decimal(9,4) null
   ) engine=MyISAM default charset=utf8mb3`,
  `create table insplan (
     PlanNum bigint not null auto_increment primary key,
     GroupName varchar(50) not null default '',
     GroupNum varchar(25) not null default '',
     PlanNote text null,
     FeeSched bigint not null default 0,
     PlanType char(1) not null default '',
     CarrierNum bigint not null,
     IsMedical tinyint unsigned not null default 0
   ) engine=MyISAM default charset=utf8mb3`,
  `create table inssub (
     InsSubNum bigint not null auto_increment primary key,
     PlanNum bigint not null,
     Subscriber bigint not null,
     DateEffective date not null default '0001-01-01',
     DateTerm date not null default '0000-00-00',
     SubscriberID varchar(255) not null default '',
     BenefitNotes text null
   ) engine=MyISAM default charset=utf8mb3`,
  `create table patplan (
     PatPlanNum bigint not null auto_increment primary key,
     PatNum bigint not null,
     Ordinal tinyint unsigned not null default 1,
     IsPending tinyint unsigned not null default 0,
     Relationship tinyint unsigned not null default 0,
     InsSubNum bigint not null
   ) engine=MyISAM default charset=utf8mb3`,
  `create table provider (
     ProvNum bigint not null auto_increment primary key,
     Abbr varchar(255) not null default '',
     LName varchar(100) not null default '',
     FName varchar(100) not null default '',
     IsSecondary tinyint unsigned not null default 0,
     ProvColor int not null default 0,
     HourlyProdGoalAmt double not null default 0,
     Birthdate date not null default '0001-01-01'
   ) engine=MyISAM default charset=utf8mb3`,
  `create table operatory (
     OperatoryNum bigint not null auto_increment primary key,
     OpName varchar(255) not null default '',
     ItemOrder smallint unsigned not null default 0,
     IsHygiene tinyint not null default 0,
     ProvDentist bigint not null default 0
   ) engine=InnoDB default charset=utf8mb3`,
  `create table schedule (
     ScheduleNum bigint not null auto_increment primary key,
     SchedDate date not null default '0001-01-01',
     StartTime time not null default '00:00:00',
     StopTime time not null default '00:00:00',
     ProvNum bigint not null default 0,
     AdjHours time(3) null,
     Note text null,
     Status tinyint not null default 0
   ) engine=MyISAM default charset=utf8mb3`,
  `create table recall (
     RecallNum bigint not null auto_increment primary key,
     PatNum bigint not null,
     DateDueCalc date not null default '0001-01-01',
     DateDue date not null default '0000-00-00',
     DatePrevious date not null default '0000-00-00',
     RecallInterval int not null default 0,
     Priority tinyint not null default 0,
     Note text null,
     DisableUntilBalance double not null default 0,
     key PatNum (PatNum)
   ) engine=MyISAM default charset=utf8mb3`,
  `create table fee (
     FeeSched bigint not null,
     CodeNum bigint not null,
     ClinicNum bigint not null default 0,
     Amount double not null default -1,
     UseDefaultFee tinyint(1) not null default 0,
     primary key (FeeSched, CodeNum, ClinicNum)
   ) engine=InnoDB default charset=utf8mb3`,
  `create table feesched (
     FeeSchedNum bigint not null auto_increment primary key,
     Description varchar(255) null,
     ItemOrder int not null default 0,
     IsHidden tinyint(1) not null default 0
   ) engine=MyISAM default charset=utf8mb3`,
  `create table definition (
     DefNum bigint not null auto_increment primary key,
     Category tinyint unsigned not null default 0,
     ItemOrder smallint unsigned not null default 0,
     ItemName varchar(255) not null default '',
     ItemValue varchar(255) not null default '',
     ItemColor int not null default 0,
     IsHidden tinyint unsigned not null default 0
   ) engine=MyISAM default charset=utf8mb3`,
  `create table preference (
     PrefName varchar(190) not null primary key,
     ValueString text not null,
     Comments text null
   ) engine=MyISAM default charset=utf8mb3`,
  `create table securitylog (
     SecurityLogNum bigint not null auto_increment primary key,
     PermType tinyint unsigned not null default 0,
     UserNum bigint not null default 0,
     LogDateTime datetime not null default '0001-01-01 00:00:00',
     LogText text null,
     PatNum bigint not null default 0,
     CompName varchar(255) not null default '',
     FKey bigint null,
     DateTPrevious datetime(6) null
   ) engine=InnoDB default charset=utf8mb3`,
  `create table document (
     DocNum bigint not null auto_increment primary key,
     Description varchar(255) not null default '',
     DateCreated datetime not null default '0001-01-01 00:00:00',
     PatNum bigint not null,
     FileName varchar(255) not null default '',
     Thumbnail mediumblob null,
     DegreesRotated float not null default 0,
     CropW int not null default 0,
     WindowingMax smallint not null default 0
   ) engine=MyISAM default charset=utf8mb3`,
  `create table equipment (
     EquipmentNum bigint not null auto_increment primary key,
     Description text null,
     SerialNumber varchar(255) null,
     ModelYear varchar(2) null,
     DatePurchased date not null default '0001-01-01',
     PurchaseCost double not null default 0,
     MarketValue double not null default 0,
     Location text null
   ) engine=MyISAM default charset=latin1`,
  `create table familybalance (
     PatNum bigint not null primary key,
     Bal_0_30 double not null default 0,
     BalOver90 double not null default 0,
     BalTotal double not null default 0
   ) engine=MyISAM default charset=utf8mb3`,
];
