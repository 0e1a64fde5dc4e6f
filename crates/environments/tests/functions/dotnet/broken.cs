public class FissionFunction {
    int broken = = 2;
}
