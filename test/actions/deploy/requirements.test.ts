import { changedRequirements } from "../../../src/actions/deploy/requirements.ts";

test("what is asked for otherwise is told by name, in any order and spelling", () => {
  const before = ["-r base.txt", "Django==4.2  # long-term", "redis[hiredis]>=5", "old_name==1", "same==1"].join("\n");
  const after = ["same==1", "django==5.1", "Old-Name==1", "redis>=5", "# new", "added~=2.0", ""].join("\n");
  expect(changedRequirements(before, after)).toEqual([
    "-r base.txt → not listed",
    "not listed → added~=2.0",
    "Django==4.2 → django==5.1",
    "old_name==1 → Old-Name==1",
    "redis[hiredis]>=5 → redis>=5",
  ]);
});

test("hashes, comments and the way that lines are broken are no difference", () => {
  const before = "a==1 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n# b\nhttps://h/x.whl#sha256=1\n";
  expect(changedRequirements(before, "https://h/x.whl#sha256=1\na==1 --hash=sha256:22\n")).toEqual([]);
  expect(changedRequirements(before, "")).toEqual(["a==1 → not listed", "https://h/x.whl#sha256=1 → not listed"]);
});

test("one package for several interpreters stays one", () => {
  const before = 'a==1; python_version < "3.9"\na==2; python_version >= "3.9"';
  expect(changedRequirements(before, "a==2")).toEqual([
    'a==1; python_version < "3.9", a==2; python_version >= "3.9" → a==2',
  ]);
});
