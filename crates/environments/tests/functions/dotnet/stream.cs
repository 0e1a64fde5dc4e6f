using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Fission.DotNetCore.Api;

public class FissionFunction
{
    public async IAsyncEnumerable<string> Execute(FissionContext context)
    {
        yield return "first";
        await Task.Delay(300);
        yield return "second";
    }
}
