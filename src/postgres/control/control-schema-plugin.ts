import {
  IdentifierNode,
  type KyselyPlugin,
  OperationNodeTransformer,
  type PluginTransformQueryArgs,
  type PluginTransformResultArgs,
  type QueryId,
  type QueryResult,
  type RootOperationNode,
  type SchemableIdentifierNode,
  type UnknownRow,
} from 'kysely';
import type { ControlSchema } from './control-schema.ts';

const controlTables: ReadonlySet<string> = new Set<keyof ControlSchema>([
  ...(['checkpoint', 'lease', 'tables', 'schema_versions', 'conversions', 'dead_letters'] as const),
  ...(['controls', 'jobs', 'status', 'events', 'refusal', 'left_out'] as const),
]);

/**
 * Qualifies the name of each control table with the replica's control schema. This includes `sql.table` inside plain SQL, which Kysely's
 * own withSchema leaves alone.
 */
export class ControlSchemaPlugin implements KyselyPlugin {
  readonly #qualify: Qualify;

  constructor(schema: string) {
    this.#qualify = new Qualify(schema);
  }

  transformQuery({ node, queryId }: PluginTransformQueryArgs): RootOperationNode {
    return this.#qualify.transformNode(node, queryId);
  }

  async transformResult({ result }: PluginTransformResultArgs): Promise<QueryResult<UnknownRow>> {
    return await Promise.resolve(result);
  }
}

class Qualify extends OperationNodeTransformer {
  readonly #schema: IdentifierNode;

  constructor(schema: string) {
    super();
    this.#schema = IdentifierNode.create(schema);
  }

  protected override transformSchemableIdentifier(
    node: SchemableIdentifierNode,
    queryId?: QueryId,
  ): SchemableIdentifierNode {
    const identifier = super.transformSchemableIdentifier(node, queryId);
    return identifier.schema === undefined && controlTables.has(identifier.identifier.name)
      ? { ...identifier, schema: this.#schema }
      : identifier;
  }
}
