// What a dashboard in a file may hold, by the types that Grafana publishes.
import type { Dashboard, Panel } from '@grafana/schema';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type {
  FieldConfig as StripField,
  Options as StripOptions,
} from '@grafana/schema/dist/esm/raw/composable/statushistory/panelcfg/x/StatusHistoryPanelCfg_types.gen';
import type {
  FieldConfig as TableField,
  Options as TableOptions,
} from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type {
  FieldConfig as SeriesField,
  Options as SeriesOptions,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// JSON has the words of an enum, not its members.
type Written<T> = T extends string
  ? `${T}`
  : T extends number | boolean | null | undefined
    ? T
    : T extends Array<infer Item>
      ? Array<Written<Item>>
      : T extends object
        ? { [Key in keyof T]: Written<T[Key]> }
        : T;

// Names a key that none of these types knows, wherever it stands; keys of free maps (Record<string, ...>) are known.
type Of<Type extends string, Options, Custom> = Omit<
  Written<Panel>,
  'type' | 'options' | 'fieldConfig'
> & {
  type: Type;
  options: Written<Options>;
  fieldConfig: {
    defaults: Omit<NonNullable<Written<Panel>['fieldConfig']>['defaults'], 'custom'> & { custom?: Partial<Written<Custom>> };
    overrides: NonNullable<Written<Panel>['fieldConfig']>['overrides'];
  };
};

export type Known =
  | Of<'stat', StatOptions, Record<string, never>>
  | Of<'table', TableOptions, TableField>
  | Of<'status-history', StripOptions, StripField>
  | Of<'timeseries', SeriesOptions, SeriesField>;

export type Stored = Omit<Written<Dashboard>, 'panels'> & { panels: Known[] };
