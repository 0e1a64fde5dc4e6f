using System;
using Fission.DotNetCore.Api;

public class FissionFunction
{
    public object Execute(FissionContext context)
    {
        var arguments = context.Arguments;
        if (!arguments.ContainsKey("x") || !arguments.ContainsKey("y"))
            return new Fission.FissionResponse { Status = 422, Body = "x and y, please\n" };
        context.Logger.WriteInfo("adding {0} and {1}", arguments["x"], arguments["y"]);
        return $"{Convert.ToInt32(arguments["x"]) + Convert.ToInt32(arguments["y"])}\n";
    }
}
