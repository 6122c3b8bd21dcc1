#!/usr/bin/env escript
%% SPDX-License-Identifier: Apache-2.0
%% mnesia.escript DIR RECORDS BYTES OVERWRITES ROUNDS: what checkpoints cost in Mnesia.
%% Prints one line of JSON: medians in seconds.

main([Dir | Numbers]) ->
    [Records, Bytes, Overwrites, Rounds] = [list_to_integer(N) || N <- Numbers],
    application:set_env(mnesia, dir, Dir),
    ok = mnesia:create_schema([node()]),
    ok = mnesia:start(),
    {atomic, ok} = mnesia:create_table(t, [{disc_copies, [node()]}]),
    Data = crypto_free_bytes(Bytes),
    [ok = mnesia:dirty_write({t, N, Data}) || N <- lists:seq(1, Records)],
    Chosen = [rand:uniform(Records) || _ <- lists:seq(1, Overwrites)],
    Distinct = lists:usort(Chosen),
    Plain = overwrite(Distinct, Data),
    {Activate, First, Second} = rounds(Rounds, Distinct, Data, [], [], []),
    Drop = [time(fun() -> ok = mnesia:deactivate_checkpoint(name(R)) end)
            || R <- lists:seq(1, Rounds)],
    AddFrag = add_frag(Records, Data),
    io:format("{\"activate\":~g,\"plain overwrite\":~g,\"first overwrite\":~g,"
              "\"second overwrite\":~g,\"drop\":~g,\"add_frag (one)\":~g}~n",
              [median(L) || L <- [Activate, Plain, First, Second, Drop, AddFrag]]),
    halt(0).

crypto_free_bytes(Bytes) ->
    list_to_binary([rand:uniform(256) - 1 || _ <- lists:seq(1, Bytes)]).

name(R) -> {ck, R}.

rounds(0, _, _, Activate, First, Second) ->
    {Activate, First, Second};
rounds(R, Keys, Data, Activate, First, Second) ->
    A = time(fun() ->
                 {ok, _, _} = mnesia:activate_checkpoint(
                     [{name, name(R)}, {max, [t]}, {ram_overrides_dump, false}])
             end),
    F = overwrite(Keys, Data),
    S = overwrite(Keys, Data),
    rounds(R - 1, Keys, Data, [A | Activate], F ++ First, S ++ Second).

overwrite(Keys, Data) ->
    [time(fun() -> ok = mnesia:dirty_write({t, K, Data}) end) || K <- Keys].

add_frag(Records, Data) ->
    {atomic, ok} = mnesia:create_table(
        f, [{disc_copies, [node()]}, {frag_properties, [{n_fragments, 4},
                                                         {node_pool, [node()]}]}]),
    Write = fun() ->
                [mnesia:write({f, N, Data}) || N <- lists:seq(1, Records)], ok
            end,
    ok = mnesia:activity(async_dirty, Write, [], mnesia_frag),
    [time(fun() ->
              {atomic, ok} = mnesia:change_table_frag(f, {add_frag, [node()]})
          end) || _ <- lists:seq(1, 4)].

time(Fun) ->
    Begun = erlang:monotonic_time(nanosecond),
    Fun(),
    (erlang:monotonic_time(nanosecond) - Begun) / 1.0e9.

median(List) ->
    Sorted = lists:sort(List),
    lists:nth(max(1, length(Sorted) div 2), Sorted).
