/** What a form shows while it is sent and when it was refused. */

import { ApiError, asApiError, sentence } from './api/error';

export class Form {
  busy = $state(false);
  problem = $state.raw<ApiError | undefined>(undefined);

  /** What is wrong with a field, by the name it has in the API. */
  field(name: string): string | undefined {
    const found = this.problem?.fields.find(({ field }) => field === name);
    return found ? sentence(found.problem) : undefined;
  }

  /** What is wrong with the whole, where no shown field says it. */
  message(...shown: string[]): string | undefined {
    const { problem } = this;
    if (!problem) return undefined;
    const said = problem.fields.some(({ field }) => shown.includes(field));
    return said ? undefined : problem.message;
  }

  /** Runs it unless it is running; true when it went well. */
  async run(action: () => Promise<void>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.problem = undefined;
    try {
      await action();
      return true;
    } catch (error) {
      this.problem = asApiError(error);
      return false;
    } finally {
      this.busy = false;
    }
  }

  refuse(field: string, problem: string): void {
    this.problem = new ApiError('refused', problem, { fields: [{ field, problem }] });
  }
}
